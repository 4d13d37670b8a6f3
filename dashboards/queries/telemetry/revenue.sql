select
    event_date,
    currency,
    cast(revenue as double) as revenue,
    purchases,
    paying_players,
    revenue_per_active_player
from marts.rpt_revenue_daily
where
    (len($currencies::varchar[]) = 0 or list_contains($currencies::varchar[], currency))
    and event_date between $low::date and $high::date
order by event_date, currency
