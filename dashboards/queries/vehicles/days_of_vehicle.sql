select
    day,
    events,
    emergency_calls,
    last_event_time,
    last_event_type
from marts.fct_vehicle_daily_summary
where vehicle_id = $vehicle
order by day desc
limit 400
