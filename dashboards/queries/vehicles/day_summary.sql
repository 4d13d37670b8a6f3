select
    events,
    emergency_calls,
    last_event_time,
    last_event_type
from marts.fct_vehicle_daily_summary
where vehicle_id = $vehicle::varchar and day = $day::date
