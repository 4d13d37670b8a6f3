-- Every average and count is wrong when a reading is there twice. The newest two days stand for
-- all: a fleet makes millions of rows a day, and all of them come in the same way.
select
    readings.truck_id,
    readings.recorded_at,
    readings.parameter,
    count(*) as row_count
from {{ ref('fct_fleet_readings') }} as readings
where
    readings.recorded_on >= (
        select max(newest.recorded_on) - 1
        from {{ ref('fct_fleet_readings') }} as newest
    )
group by readings.truck_id, readings.recorded_at, readings.parameter
having count(*) > 1
