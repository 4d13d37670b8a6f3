{{ config(
    materialized='incremental',
    incremental_strategy='touched',
    on_schema_change='fail',
    unique_key=['vehicle_id', 'day'],
    meta={
        'follows': [{'model': 'fct_vehicle_events', 'keys': ['vehicle_id', 'event_date as day']}],
        'tracks': ['vehicle_id'],
        'release_order': ['day', 'vehicle_id'],
    },
) }}

with

events as (
    select
        vehicle_id,
        event_time,
        event_type,
        is_emergency_call,
        -- A keyword, but the name is what readers know the column by.
        event_date as day  -- noqa: RF04
    from {{ ref('fct_vehicle_events') }}
),

events_to_follow as (
    select *
    from events
    {% if is_incremental() %}
    where {{ is_touched('events') }}
    {% endif %}
)

select
    vehicle_id,
    day,
    max(event_time) as last_event_time,
    max_by(event_type, (event_time, event_type)) as last_event_type,
    count(*) as events,
    count(*) filter (where is_emergency_call) as emergency_calls
from events_to_follow
group by vehicle_id, day
order by day
