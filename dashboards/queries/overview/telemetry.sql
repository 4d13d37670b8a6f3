with

days as (
    select
        event_date as day,
        sum(events) as amount
    from marts.rpt_engagement_daily
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
