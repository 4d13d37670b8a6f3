-- Every average and count is wrong when a reading is there twice. The newest two days stand for
-- all: a fleet makes millions of rows a day, and all of them come in the same way.
with

readings as (
    select
        truck_id,
        recorded_at,
        parameter,
        recorded_on
    from {{ ref('fct_fleet_readings') }}
),

newest as (
    select max(recorded_on) as recorded_on
    from readings
)

select
    readings.truck_id,
    readings.recorded_at,
    readings.parameter,
    count(*) as row_count
from readings
cross join newest
where readings.recorded_on >= newest.recorded_on - 1
group by readings.truck_id, readings.recorded_at, readings.parameter
having count(*) > 1
