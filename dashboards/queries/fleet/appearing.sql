with

days as (
    select
        cast(first_seen_at as date) as day,
        count(*) as new_parameters
    from marts.dim_fleet_parameters
    group by all
)

select
    day,
    new_parameters,
    cast(sum(new_parameters) over (order by day) as bigint) as parameters_known
from days
order by day
