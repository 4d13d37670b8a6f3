{{ config(
    materialized='incremental',
    incremental_strategy='touched',
    on_schema_change='fail',
    unique_key='songplay_key',
    meta={
        'touched_by': 'started_at',
        'follows': [{
            'source': 'songs',
            'keys': ['title', 'artist_name', 'duration'],
            'finds': ['song_title', 'artist_name', 'song_seconds'],
        }],
    },
) }}

with

songs as (
    select * from {{ ref('stg_music__songs') }}
),

plays as (
    {% call(events) combined(
        ref('stg_music__listening_events'),
        by=[
            'started_at', 'user_id', 'level', 'song_title', 'artist_name', 'session_id',
            'location', 'user_agent',
        ],
        columns={'song_seconds': 'max'},
    ) %}
    select
        occurred_at as started_at,
        user_id,
        level,
        song_title,
        artist_name,
        song_seconds,
        session_id,
        location,
        user_agent
    from {{ events }}
    where page = 'NextSong'
    {% endcall %}
),

-- Several songs may have the same title, artist and length: one of them, always the same.
known_songs as (
    select
        title,
        artist_name,
        duration_seconds,
        min(song_id) as song_id,
        min_by(artist_id, (song_id, artist_id)) as artist_id
    from songs
    group by title, artist_name, duration_seconds
)

select
    -- As a list in JSON, null is not the text 'null', and no text looks like two.
    md5(cast(to_json([
        cast(plays.started_at as varchar),
        cast(plays.user_id as varchar),
        plays.level,
        plays.song_title,
        plays.artist_name,
        cast(plays.session_id as varchar),
        plays.location,
        plays.user_agent
    ]) as varchar)) as songplay_key,
    plays.started_at,
    plays.user_id,
    plays.level,
    known_songs.song_id,
    known_songs.artist_id,
    plays.session_id,
    plays.location,
    plays.user_agent,
    plays.song_title,
    plays.artist_name,
    plays.song_seconds,
    cast(plays.started_at as date) as play_date
from plays
left join known_songs
    on
        plays.song_title = known_songs.title
        and plays.artist_name = known_songs.artist_name
        and plays.song_seconds = known_songs.duration_seconds
-- A day's rows lie together: what asks for a few days then reads little, the next build included.
order by plays.started_at
