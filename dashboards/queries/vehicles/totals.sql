select
    cast(sum(events) as bigint) as events,
    cast(sum(emergency_calls) as bigint) as emergency_calls,
    count(distinct vehicle_id) as active_vehicles,
    (select count(*) from marts.dim_vehicles) as vehicles
from marts.fct_vehicle_daily_summary
where day between $low::date and $high::date
