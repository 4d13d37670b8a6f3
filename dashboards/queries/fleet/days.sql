with

parameter_days as (
    select *
    from marts.fct_fleet_parameter_days
    where $truck::varchar is null or truck_id = $truck
),

first_days as (
    select
        parameter,
        min(recorded_on) as first_day
    from parameter_days
    group by parameter
),

new_parameters as (
    select
        first_day,
        count(*) as new_parameters
    from first_days
    group by first_day
),

days as (
    select
        recorded_on as day,
        count(distinct parameter) as parameters,
        count(distinct truck_id) as trucks,
        cast(sum(readings) as bigint) as readings
    from parameter_days
    where recorded_on between $low::date and $high::date
    group by day
)

select
    days.day,
    days.parameters,
    coalesce(new_parameters.new_parameters, 0) as new_parameters,
    days.trucks,
    days.readings
from days
left join new_parameters on days.day = new_parameters.first_day
order by days.day
