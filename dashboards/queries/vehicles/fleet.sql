select
    vehicle_id,
    coalesce(status, '(unknown)') as status,
    status_source,
    status_reported_at,
    last_event_at,
    last_event_type,
    events
from marts.dim_vehicles
where
    len($statuses::varchar[]) = 0
    or list_contains($statuses::varchar[], coalesce(status, '(unknown)'))
order by status_reported_at desc nulls last, vehicle_id
limit 1000
