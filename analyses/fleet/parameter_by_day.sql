-- How did a parameter develop from day to day? Which: --vars '{parameter: sensor_01}'.
select
    day,
    readings,
    minimum,
    average,
    maximum
from {{ ref('rpt_fleet_parameter_daily') }}
where parameter = '{{ var("parameter", "sensor_01") }}'
order by day
