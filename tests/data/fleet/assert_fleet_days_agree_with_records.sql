-- No parameter is named anywhere, so nothing else would notice that a truck's day is missing, or
-- was kept although its records were taken back.
with

days_delivered as (
    select distinct
        truck_id,
        cast(recorded_at as date) as recorded_on
    from {{ ref('stg_fleet__records') }}
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
    -- There are hardly any; that there are few, the planner knows only if it is told, and reads all
    -- of the values otherwise.
    order by is_known desc, recorded_on desc
    limit 1000
),

-- A day whose records have no value (a null is none) is rightly missing. They are counted for such
-- days only: the values are by far the largest column.
values_counted as (
    select
        days_differing.recorded_on,
        days_differing.truck_id,
        max(list_count(map_values(
            from_json(records.sensor_values, '"MAP(VARCHAR, JSON)"')
        ))) as value_count
    from {{ ref('stg_fleet__records') }} as records
    inner join days_differing
        on
            cast(records.recorded_at as date) = days_differing.recorded_on
            and records.truck_id = days_differing.truck_id
    group by days_differing.recorded_on, days_differing.truck_id
)

select days_differing.*
from days_differing
left join values_counted
    on
        days_differing.recorded_on = values_counted.recorded_on
        and days_differing.truck_id = values_counted.truck_id
where days_differing.is_known or values_counted.value_count > 0
