select
    vehicle_id,
    status,
    status_source,
    status_reported_at,
    last_event_at,
    last_event_type,
    events
from marts.dim_vehicles
order by vehicle_id
limit 5000
