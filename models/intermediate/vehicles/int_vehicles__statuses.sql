{{ config(
    materialized='incremental',
    incremental_strategy='touched',
    on_schema_change='fail',
    unique_key='vehicle_id',
) }}

with

latest_statuses as (
    {% call(statuses) combined(
        ref('stg_vehicles__statuses'),
        by='vehicle_id',
        columns={
            'status_reported_at': 'max',
            'status': 'last by status_reported_at',
            'status_source': 'last by status_reported_at',
        },
    ) %}
    select
        vehicle_id,
        status,
        status_source,
        reported_at as status_reported_at
    from {{ statuses }}
    {% endcall %}
)

select * from latest_statuses
