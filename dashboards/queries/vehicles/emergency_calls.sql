select
    event_time,
    vehicle_id,
    event_type,
    event_value,
    event_source,
    note
from marts.fct_vehicle_events
where is_emergency_call and event_date between $low::date and $high::date
order by event_time desc, vehicle_id
limit 200
