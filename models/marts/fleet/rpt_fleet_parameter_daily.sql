{{ config(
    materialized='incremental',
    incremental_strategy='touched',
    on_schema_change='fail',
    unique_key=['day', 'parameter'],
    meta={
        'follows': [
            {'model': 'fct_fleet_parameter_days', 'keys': ['recorded_on as day', 'parameter']},
        ],
        'release_order': ['day', 'parameter'],
    },
) }}

with

parameter_days as (
    select
        *,
        -- A keyword, but the name is what readers know the column by.
        recorded_on as day  -- noqa: RF04
    from {{ ref('fct_fleet_parameter_days') }}
),

parameter_days_to_follow as (
    select *
    from parameter_days
    {% if is_incremental() %}
    where {{ is_touched('parameter_days') }}
    {% endif %}
)

select
    parameter,
    day,
    cast(sum(readings) as bigint) as readings,
    min(minimum) as minimum,
    sum(total) / nullif(sum(numeric_readings), 0) as average,
    max(maximum) as maximum
from parameter_days_to_follow
group by parameter, day
order by day
