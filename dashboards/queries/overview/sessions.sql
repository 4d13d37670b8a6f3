with

days as (
    select
        cast(hour as date) as day,
        sum(sessions_started) as amount
    from marts.rpt_sessions_by_country_hour
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
