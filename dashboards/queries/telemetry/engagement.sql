select
    event_date,
    daily_active_players,
    new_players,
    events,
    day_1_retention,
    day_7_retention
from marts.rpt_engagement_daily
where event_date between $low::date and $high::date
order by event_date
