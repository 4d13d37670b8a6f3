with

days as (
    select
        day as day,
        sum(readings) as amount
    from marts.rpt_fleet_parameter_daily
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
