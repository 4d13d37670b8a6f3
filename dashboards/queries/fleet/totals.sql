with

parameter_days as (
    select
        *,
        min(recorded_on) over (partition by parameter) as first_day
    from marts.fct_fleet_parameter_days
    where $truck::varchar is null or truck_id = $truck
)

select
    count(distinct parameter) as parameters,
    count(distinct parameter) filter (where first_day >= $low::date) as new_parameters,
    count(distinct truck_id) as trucks,
    cast(coalesce(sum(readings), 0) as bigint) as readings,
    (
        select count(*)
        from marts.dim_fleet_parameters
        where contains(types_seen, ',')
    ) as parameters_of_several_types
from parameter_days
where recorded_on between $low::date and $high::date
