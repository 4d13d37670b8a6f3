{{ config(
    materialized='incremental',
    incremental_strategy='touched',
    on_schema_change='fail',
    unique_key='vehicle_id',
) }}

with

statuses as (
    select * from {{ ref('int_vehicles__statuses') }}
),

days as (
    select * from {{ ref('fct_vehicle_daily_summary') }}
),

-- A row per car and day: their number does not grow with the number of events.
event_totals as (
    select
        vehicle_id,
        max(last_event_time) as last_event_at,
        max_by(last_event_type, last_event_time) as last_event_type,
        cast(sum(events) as bigint) as events
    from days
    group by vehicle_id
)

select
    coalesce(statuses.vehicle_id, event_totals.vehicle_id) as vehicle_id,
    statuses.status,
    statuses.status_source,
    statuses.status_reported_at,
    event_totals.last_event_at,
    event_totals.last_event_type,
    coalesce(event_totals.events, 0) as events
from statuses
full outer join event_totals on statuses.vehicle_id = event_totals.vehicle_id
