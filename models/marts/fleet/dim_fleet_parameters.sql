{{ config(
    materialized='incremental',
    incremental_strategy='touched',
    on_schema_change='fail',
    unique_key='parameter',
) }}

with

parameter_days as (
    select * from {{ ref('fct_fleet_parameter_days') }}
),

parameters as (
    select
        parameter,
        concat_ws(
            ', ',
            case when bool_or(is_seen_as_boolean) then 'boolean' end,
            case when bool_or(is_seen_as_double) then 'double' end,
            case when bool_or(is_seen_as_json) then 'json' end,
            case when bool_or(is_seen_as_varchar) then 'varchar' end
        ) as types_seen,
        min(first_seen_at) as first_seen_at,
        max(last_seen_at) as last_seen_at,
        min_by(first_file, (first_seen_at, first_file)) as first_file,
        cast(sum(readings) as bigint) as readings,
        count(distinct truck_id) as trucks
    from parameter_days
    group by parameter
)

select
    parameter,
    case when contains(types_seen, ',') then 'varchar' else types_seen end as data_type,
    types_seen,
    first_seen_at,
    last_seen_at,
    first_file,
    readings,
    trucks
from parameters
