-- Which cars have said nothing on the last day of the data?
with

vehicles as (
    select
        vehicle_id,
        status,
        greatest(status_reported_at, last_event_at) as last_heard_at
    from {{ ref('dim_vehicles') }}
),

newest as (
    select max(last_heard_at) as last_heard_at
    from vehicles
)

select
    vehicles.vehicle_id,
    vehicles.status,
    vehicles.last_heard_at
from vehicles
cross join newest
where vehicles.last_heard_at < newest.last_heard_at - interval 1 day
order by vehicles.last_heard_at, vehicles.vehicle_id
