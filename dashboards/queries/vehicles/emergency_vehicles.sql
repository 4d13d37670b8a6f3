select
    vehicle_id,
    cast(sum(emergency_calls) as bigint) as emergency_calls
from marts.fct_vehicle_daily_summary
where day between $low::date and $high::date and emergency_calls > 0
group by vehicle_id
order by emergency_calls desc, vehicle_id
limit 10
