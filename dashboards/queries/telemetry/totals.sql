select
    max_by(daily_active_players, event_date) as last_active_players,
    avg(daily_active_players) as average_active_players,
    cast(sum(new_players) as bigint) as new_players,
    cast(sum(events) as bigint) as events,
    sum(day_1_retention * new_players)
    / sum(new_players) filter (where day_1_retention is not null) as day_1_retention,
    sum(day_7_retention * new_players)
    / sum(new_players) filter (where day_7_retention is not null) as day_7_retention
from marts.rpt_engagement_daily
where event_date between $low::date and $high::date
