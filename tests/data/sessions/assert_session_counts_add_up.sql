-- The dashboard shows the same sessions by country, by hour and by player, side by side. The
-- players follow the sessions one change at a time, so they are what could drift.
with

hours as (
    select
        coalesce(sum(sessions_started), 0) as sessions_started,
        coalesce(sum(sessions_completed), 0) as sessions_completed
    from {{ ref('rpt_sessions_by_country_hour') }}
),

sessions_in_no_hour as (
    select count(*) as sessions_completed
    from {{ ref('fct_sessions') }}
    where started_at is null
),

totals as (
    select
        'fct_sessions' as counted_in,
        count(started_at) as sessions_started,
        count(ended_at) as sessions_completed
    from {{ ref('fct_sessions') }}

    union all

    select
        'dim_players' as counted_in,
        coalesce(sum(sessions_started), 0) as sessions_started,
        coalesce(sum(sessions_completed), 0) as sessions_completed
    from {{ ref('dim_players') }}

    union all

    select
        'rpt_sessions_by_country' as counted_in,
        coalesce(sum(sessions_started), 0) as sessions_started,
        coalesce(sum(sessions_completed), 0) as sessions_completed
    from {{ ref('rpt_sessions_by_country') }}

    union all

    select
        'rpt_sessions_by_country_hour' as counted_in,
        hours.sessions_started,
        hours.sessions_completed + sessions_in_no_hour.sessions_completed as sessions_completed
    from hours
    cross join sessions_in_no_hour
),

facts as (
    select
        sessions_started,
        sessions_completed
    from totals
    where counted_in = 'fct_sessions'
)

select totals.*
from totals
cross join facts
where
    totals.sessions_started != facts.sessions_started
    or totals.sessions_completed != facts.sessions_completed
