-- The reports follow the events a day at a time, over tables in between: all of them must come to
-- the same totals.
with

facts as (
    select
        count(*) as events,
        count(distinct player_id) as players,
        count(*) filter (where starts_with(event_name, 'level_')) as level_events,
        coalesce(sum(amount) filter (where event_name = 'purchase'), 0) as revenue
    from {{ ref('fct_game_events') }}
),

engagement as (
    select
        coalesce(sum(events), 0) as events,
        coalesce(sum(new_players), 0) as players
    from {{ ref('rpt_engagement_daily') }}
),

funnel as (
    select coalesce(sum(attempts + completions + failures), 0) as level_events
    from {{ ref('rpt_level_funnel') }}
),

revenue as (
    select coalesce(sum(revenue), 0) as revenue
    from {{ ref('rpt_revenue_daily') }}
)

select
    facts.*,
    engagement.events as events_in_engagement,
    engagement.players as players_in_engagement,
    funnel.level_events as level_events_in_funnel,
    revenue.revenue as revenue_in_report
from facts
cross join engagement
cross join funnel
cross join revenue
where
    facts.events != engagement.events
    or facts.players != engagement.players
    or facts.level_events != funnel.level_events
    or facts.revenue != revenue.revenue
