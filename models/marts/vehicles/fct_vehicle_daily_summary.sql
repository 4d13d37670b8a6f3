{{ config(
    materialized='incremental',
    incremental_strategy='touched',
    on_schema_change='fail',
    unique_key=['vehicle_id', 'day'],
    meta={'release_order': ['day', 'vehicle_id']},
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
)

select
    vehicle_id,
    day,
    max(event_time) as last_event_time,
    max_by(event_type, (event_time, event_type)) as last_event_type,
    count(*) as events,
    count(*) filter (where is_emergency_call) as emergency_calls
from events
group by vehicle_id, day
order by day
