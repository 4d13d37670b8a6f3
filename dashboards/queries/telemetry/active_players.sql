select
    event_date,
    daily_active_players,
    new_players,
    daily_active_players - new_players as returning_players,
    events
from marts.rpt_engagement_daily
where event_date between $low::date and $high::date
order by event_date
