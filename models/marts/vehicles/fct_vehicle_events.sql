{{ config(
    materialized='incremental',
    incremental_strategy='touched',
    on_schema_change='fail',
    unique_key='vehicle_event_key',
    meta={
        'touched_by': ['vehicle_id', 'event_time'],
        'release_order': ['event_date', 'vehicle_id', 'event_time'],
    },
) }}

with

events as (
    select * from {{ ref('stg_vehicles__events') }}
),

distinct_events as (
    select distinct
        vehicle_id,
        event_time,
        event_source,
        event_type,
        event_value,
        note,
        boot_time,
        is_emergency_call
    from events
)

select
    -- As a JSON list, no two events have the same text, whatever is null or has a comma in it.
    md5(cast(to_json([
        vehicle_id,
        cast(event_time as varchar),
        event_source,
        event_type,
        event_value,
        note,
        cast(boot_time as varchar),
        cast(is_emergency_call as varchar)
    ]) as varchar)) as vehicle_event_key,
    vehicle_id,
    event_time,
    event_source,
    event_type,
    event_value,
    note,
    boot_time,
    is_emergency_call,
    cast(event_time as date) as event_date
from distinct_events
-- What asks for a few days then reads little, the next build included.
order by event_time
