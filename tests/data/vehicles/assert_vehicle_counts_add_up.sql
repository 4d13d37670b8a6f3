-- Cars follow their days and days follow the events, one change at a time: here is where they
-- would drift apart.
with

events as (
    select
        vehicle_id,
        count(*) as events,
        max(event_time) as last_event_at
    from {{ ref('fct_vehicle_events') }}
    group by vehicle_id
),

days as (
    select
        vehicle_id,
        sum(events) as events,
        max(last_event_time) as last_event_at
    from {{ ref('fct_vehicle_daily_summary') }}
    group by vehicle_id
),

vehicles as (
    select
        vehicle_id,
        events,
        last_event_at
    from {{ ref('dim_vehicles') }}
    where events > 0
)

select
    coalesce(events.vehicle_id, days.vehicle_id, vehicles.vehicle_id) as vehicle_id,
    events.events,
    days.events as events_in_days,
    vehicles.events as events_in_vehicles
from events
full outer join days on events.vehicle_id = days.vehicle_id
full outer join vehicles on coalesce(events.vehicle_id, days.vehicle_id) = vehicles.vehicle_id
where
    events.events is distinct from days.events
    or events.events is distinct from vehicles.events
    or events.last_event_at is distinct from days.last_event_at
    or events.last_event_at is distinct from vehicles.last_event_at
