select
    day,
    minimum,
    average,
    maximum,
    readings
from marts.rpt_fleet_parameter_daily
where parameter = $parameter
order by day
