-- Which cars have said nothing in the last day of the data?
with

vehicles as (
    select
        vehicle_id,
        status,
        greatest(status_reported_at, last_event_at) as last_heard_at
    from {{ ref('dim_vehicles') }}
)

select
    vehicle_id,
    status,
    last_heard_at
from vehicles
where last_heard_at < (select max(last_heard_at) from vehicles) - interval 1 day
order by last_heard_at, vehicle_id
