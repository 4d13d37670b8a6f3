with

parameter_steps as (
    select
        parameter,
        cast(date_trunc($step::varchar, recorded_on) as date) as step,
        sum(readings) as readings
    from marts.fct_fleet_parameter_days
    where
        recorded_on between $low::date and $high::date
        and ($truck::varchar is null or truck_id = $truck)
    group by all
),

newest_parameters as (
    select
        dim_fleet_parameters.parameter,
        dim_fleet_parameters.first_seen_at
    from marts.dim_fleet_parameters
    where dim_fleet_parameters.parameter in (select parameter_steps.parameter from parameter_steps)
    order by dim_fleet_parameters.first_seen_at desc, dim_fleet_parameters.parameter
    limit 50
)

select
    newest_parameters.parameter,
    parameter_steps.step,
    cast(parameter_steps.readings as bigint) as readings
from newest_parameters
inner join parameter_steps on newest_parameters.parameter = parameter_steps.parameter
order by newest_parameters.first_seen_at, newest_parameters.parameter, parameter_steps.step
