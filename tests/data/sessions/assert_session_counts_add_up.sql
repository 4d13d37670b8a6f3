-- The dashboard shows the same sessions by country, by hour and by player, side by side. The
-- players follow the sessions one change at a time, so they are what could drift.
with

facts as (
    select
        count(started_at) as sessions_started,
        count(ended_at) as sessions_completed,
        count(ended_at) filter (where started_at is null) as sessions_in_no_hour
    from {{ ref('fct_sessions') }}
),

totals as (
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
        coalesce(sum(sessions_started), 0) as sessions_started,
        coalesce(sum(sessions_completed), 0) as sessions_completed
    from {{ ref('rpt_sessions_by_country_hour') }}
)

select totals.*
from totals
cross join facts
where
    totals.sessions_started != facts.sessions_started
    or totals.sessions_completed != case totals.counted_in
        when 'rpt_sessions_by_country_hour'
            then facts.sessions_completed - facts.sessions_in_no_hour
        else facts.sessions_completed
    end
