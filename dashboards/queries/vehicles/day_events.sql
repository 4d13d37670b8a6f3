select
    event_time,
    event_type,
    event_value,
    event_source,
    is_emergency_call,
    note,
    boot_time
from marts.fct_vehicle_events
where vehicle_id = $vehicle::varchar and event_date = $day::date
order by event_time desc, event_type
limit 500
