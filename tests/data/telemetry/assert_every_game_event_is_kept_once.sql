-- Of all deliveries of an event the first one received is kept, and new ones are held against it
-- without a look at the old ones. A build that missed a load, or kept what was taken back, would
-- go unseen: every row would look right.
with

delivered as (
    select
        event_id,
        min(received_at) as received_at
    from {{ ref('stg_telemetry__events') }}
    group by event_id
),

kept as (
    select
        event_id,
        received_at
    from {{ ref('fct_game_events') }}
)

select
    coalesce(delivered.event_id, kept.event_id) as event_id,
    delivered.received_at as first_received_at,
    kept.received_at as kept_received_at
from delivered
full outer join kept on delivered.event_id = kept.event_id
where delivered.received_at is distinct from kept.received_at
