with

days as (
    select
        cast(delivered_at as date) as day,
        count(*) as amount
    from marts.fct_student_performance
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
