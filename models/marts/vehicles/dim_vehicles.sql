{{ config(
    materialized='incremental',
    incremental_strategy='touched',
    on_schema_change='fail',
    unique_key='vehicle_id',
    meta={
        'follows': [{'source': 'vehicle_statuses'}, {'model': 'fct_vehicle_daily_summary'}],
    },
) }}

{#- Of the reports before, only the latest can still matter, and the row knows it. Only when
    reports were taken back must it be found among all of them. -#}
{%- set adds_to_known = is_incremental() and not has_taken_back('vehicle_statuses') %}

with

statuses as (
    select * from {{ ref('stg_vehicles__statuses') }}
),

days as (
    select * from {{ ref('fct_vehicle_daily_summary') }}
),

days_to_follow as (
    select *
    from days
    {% if is_incremental() %}
    where {{ is_touched('days') }}
    {% endif %}
),

statuses_to_follow as (
    select
        vehicle_id,
        status,
        status_source,
        reported_at as status_reported_at
    from statuses
    {% if adds_to_known %}
    where {{ is_new('statuses') }}

    union all

    select
        vehicle_id,
        status,
        status_source,
        status_reported_at
    from {{ this }} as known
    where {{ is_touched_row('known') }} and status_reported_at is not null
    {% elif is_incremental() %}
    where {{ is_touched('statuses') }}
    {% endif %}
),

statuses_ranked as (
    select
        *,
        row_number() over (
            partition by vehicle_id
            order by status_reported_at desc, status desc, status_source desc nulls last
        ) as recency_rank
    from statuses_to_follow
),

latest_statuses as (
    select * from statuses_ranked
    where recency_rank = 1
),

-- A row per car and day: their number does not grow with the number of events.
event_totals as (
    select
        vehicle_id,
        max(last_event_time) as last_event_at,
        max_by(last_event_type, last_event_time) as last_event_type,
        cast(sum(events) as bigint) as events
    from days_to_follow
    group by vehicle_id
)

select
    coalesce(latest_statuses.vehicle_id, event_totals.vehicle_id) as vehicle_id,
    latest_statuses.status,
    latest_statuses.status_source,
    latest_statuses.status_reported_at,
    event_totals.last_event_at,
    event_totals.last_event_type,
    coalesce(event_totals.events, 0) as events
from latest_statuses
full outer join event_totals on latest_statuses.vehicle_id = event_totals.vehicle_id
