{{ config(
    materialized='incremental',
    incremental_strategy='touched',
    on_schema_change='fail',
    unique_key=['day', 'parameter'],
    meta={'release_order': ['day', 'parameter']},
) }}

with

parameter_days as (
    select
        *,
        -- A keyword, but the name is what readers know the column by.
        recorded_on as day  -- noqa: RF04
    from {{ ref('fct_fleet_parameter_days') }}
)

select
    parameter,
    day,
    cast(sum(readings) as bigint) as readings,
    min(minimum) as minimum,
    sum(total) / nullif(sum(numeric_readings), 0) as average,
    max(maximum) as maximum
from parameter_days
group by parameter, day
order by day
