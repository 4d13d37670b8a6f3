with

days as (
    select
        purchased_on as day,
        sum(purchases) as amount
    from marts.rpt_purchases_daily
    group by all
),

totals as (
    select
        *,
        sum(amount) over () as total
    from days
    where day is not null
)

select
    day,
    cast(amount as double) as amount,
    cast(total as double) as total
from totals
order by day desc
limit 60
