with

days as (
    select
        day as day,
        sum(events) as amount
    from marts.fct_vehicle_daily_summary
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
