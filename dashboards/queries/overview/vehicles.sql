select
    day,
    cast(sum(events) as double) as amount
from marts.fct_vehicle_daily_summary
where day is not null
group by all
order by day
