select
    event_time,
    event_type,
    event_source,
    event_value,
    note,
    is_emergency_call
from marts.fct_vehicle_events
where
    vehicle_id = $vehicle
    and event_date = $day::date
order by event_time, event_type
limit 2000
