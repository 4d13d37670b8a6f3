select
    day,
    cast(sum(emergency_calls) as bigint) as emergency_calls,
    cast(sum(events) as bigint) as events,
    count(*) as vehicles
from marts.fct_vehicle_daily_summary
where day between $low::date and $high::date
group by day
order by day
