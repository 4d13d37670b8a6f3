-- A song may come long after its plays, or be taken back. A build that missed it would leave plays
-- without their song, or with one that nobody knows: each row would look right.
with

known_songs as (
    select
        title,
        artist_name,
        duration_seconds,
        min(song_id) as song_id
    from {{ ref('stg_music__songs') }}
    group by title, artist_name, duration_seconds
),

plays as (
    select * from {{ ref('fct_songplays') }}
)

select
    plays.songplay_key,
    plays.song_id,
    known_songs.song_id as known_song_id
from plays
left join known_songs
    on
        plays.song_title = known_songs.title
        and plays.artist_name = known_songs.artist_name
        and plays.song_seconds = known_songs.duration_seconds
where plays.song_id is distinct from known_songs.song_id
