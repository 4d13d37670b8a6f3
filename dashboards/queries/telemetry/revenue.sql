select
    event_date,
    currency,
    cast(revenue as double) as revenue,
    purchases,
    paying_players,
    cast(revenue_per_active_player as double) as revenue_per_active_player
from marts.rpt_revenue_daily
where event_date between $low::date and $high::date
order by event_date, currency
