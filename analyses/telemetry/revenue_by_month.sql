-- What did each month bring in, per currency?
select
    date_trunc('month', event_date) as revenue_month,
    currency,
    sum(revenue) as revenue,
    cast(sum(purchases) as bigint) as purchases
from {{ ref('rpt_revenue_daily') }}
group by date_trunc('month', event_date), currency
order by revenue_month, currency
