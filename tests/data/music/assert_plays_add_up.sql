-- New events are added to what the plays know already, and times and hours follow one change at a
-- time. A build that missed a load, or kept plays of events that were taken back, would go unseen.
with

played as (
    select distinct
        occurred_at,
        user_id,
        level,
        song_title,
        artist_name,
        session_id,
        location,
        user_agent
    from {{ ref('stg_music__listening_events') }}
    where page = 'NextSong'
),

totals as (
    select
        (select count(*) from played) as plays_delivered,
        (select count(*) from {{ ref('fct_songplays') }}) as plays,
        (select coalesce(sum(by_hour.plays), 0) from {{ ref('rpt_listening_by_hour') }} as by_hour)
            as plays_by_hour,
        (select count(distinct played.occurred_at) from played) as times_delivered,
        (select count(*) from {{ ref('dim_time') }}) as times,
        (select count(distinct played.user_id) from played) as listeners_delivered,
        (select count(*) from {{ ref('dim_users') }}) as listeners
)

select *
from totals
where
    plays_delivered != plays
    or plays_delivered != plays_by_hour
    or times_delivered != times
    or listeners_delivered != listeners
