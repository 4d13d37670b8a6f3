select
    day,
    cast(sum(readings) as double) as amount
from marts.rpt_fleet_parameter_daily
where day is not null
group by all
order by day
