select
    recorded_on as day,
    min(minimum) as minimum,
    sum(total) / sum(numeric_readings) as average,
    max(maximum) as maximum,
    cast(sum(readings) as bigint) as readings
from marts.fct_fleet_parameter_days
where
    parameter = $parameter::varchar
    and recorded_on between $low::date and $high::date
    and ($truck::varchar is null or truck_id = $truck)
group by day
having sum(numeric_readings) > 0
order by day
