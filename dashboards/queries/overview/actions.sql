with

days as (
    select
        cast(window_start as date) as day,
        sum(total_actions) as amount
    from marts.fct_action_windows
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
