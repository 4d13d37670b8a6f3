-- Events are told apart by all that they say. A build that missed a load, kept events that were
-- taken back, or told object and text apart, would go unseen: every row would look right.
with

delivered as (
    select distinct
        vehicle_id,
        event_time,
        event_source,
        event_type,
        event_value,
        note,
        boot_time,
        is_emergency_call
    from {{ ref('stg_vehicles__events') }}
),

delivered_by_day as (
    select
        cast(event_time as date) as event_date,
        count(*) as events
    from delivered
    group by cast(event_time as date)
),

kept_by_day as (
    select
        event_date,
        count(*) as events
    from {{ ref('fct_vehicle_events') }}
    group by event_date
)

select
    coalesce(delivered_by_day.event_date, kept_by_day.event_date) as event_date,
    delivered_by_day.events as events_delivered,
    kept_by_day.events as events_kept
from delivered_by_day
full outer join kept_by_day on delivered_by_day.event_date = kept_by_day.event_date
where delivered_by_day.events is distinct from kept_by_day.events
