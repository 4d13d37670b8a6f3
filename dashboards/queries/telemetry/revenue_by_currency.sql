select
    currency,
    cast(sum(revenue) as double) as revenue,
    cast(sum(purchases) as bigint) as purchases,
    round(cast(sum(revenue) / sum(purchases) as double), 2) as revenue_per_purchase
from marts.rpt_revenue_daily
where
    (len($currencies::varchar[]) = 0 or list_contains($currencies::varchar[], currency))
    and event_date between $low::date and $high::date
group by currency
order by currency
