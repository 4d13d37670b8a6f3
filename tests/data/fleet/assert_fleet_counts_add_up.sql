-- The catalogue and the daily report are made of the parameter days, and those of the readings, one
-- change at a time. One that was missed would go unseen: every row would look right.
with

readings_counted as (
    select count(*) as readings
    from {{ ref('fct_fleet_readings') }}
),

totals as (
    select
        'fct_fleet_parameter_days' as counted_in,
        coalesce(sum(readings), 0) as readings
    from {{ ref('fct_fleet_parameter_days') }}

    union all

    select
        'dim_fleet_parameters' as counted_in,
        coalesce(sum(readings), 0) as readings
    from {{ ref('dim_fleet_parameters') }}

    union all

    select
        'rpt_fleet_parameter_daily' as counted_in,
        coalesce(sum(readings), 0) as readings
    from {{ ref('rpt_fleet_parameter_daily') }}
)

select
    totals.counted_in,
    totals.readings,
    readings_counted.readings as readings_in_facts
from totals
cross join readings_counted
where totals.readings != readings_counted.readings
