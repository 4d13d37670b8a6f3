-- No parameter is named anywhere, so nothing else would notice that a truck's day is missing, or
-- was kept although its records were taken back.
with

records as (
    select
        truck_id,
        sensor_values,
        cast(recorded_at as date) as recorded_on
    from {{ ref('stg_fleet__records') }}
),

days_delivered as (
    select distinct
        recorded_on,
        truck_id
    from records
),

days_known as (
    select distinct
        recorded_on,
        truck_id
    from {{ ref('fct_fleet_parameter_days') }}
),

days_differing as (
    select
        coalesce(days_delivered.recorded_on, days_known.recorded_on) as recorded_on,
        coalesce(days_delivered.truck_id, days_known.truck_id) as truck_id,
        days_known.truck_id is not null as is_known
    from days_delivered
    full outer join days_known
        on
            days_delivered.recorded_on = days_known.recorded_on
            and days_delivered.truck_id = days_known.truck_id
    where days_delivered.truck_id is null or days_known.truck_id is null
),

-- A day whose records have no parameters is rightly missing. They are looked at for such days only:
-- the parameters are by far the largest column.
days_with_parameters as (
    select distinct
        records.recorded_on,
        records.truck_id
    from records
    inner join days_differing
        on
            records.recorded_on = days_differing.recorded_on
            and records.truck_id = days_differing.truck_id
    -- A null is no value.
    where
        list_count(map_values(from_json(records.sensor_values, '"MAP(VARCHAR, JSON)"'))) > 0
)

select days_differing.*
from days_differing
left join days_with_parameters
    on
        days_differing.recorded_on = days_with_parameters.recorded_on
        and days_differing.truck_id = days_with_parameters.truck_id
where days_differing.is_known or days_with_parameters.truck_id is not null
