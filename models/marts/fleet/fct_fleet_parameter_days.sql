{{ config(
    materialized='incremental',
    incremental_strategy='touched',
    on_schema_change='fail',
    unique_key=['recorded_on', 'truck_id', 'parameter'],
    meta={
        'touched_by': ['recorded_on', 'truck_id'],
        'release_order': ['recorded_on'],
    },
) }}

with

readings as (
    select * from {{ ref('fct_fleet_readings') }}
)

select
    recorded_on,
    truck_id,
    parameter,
    count(*) as readings,
    count(value) as numeric_readings,
    min(value) as minimum,
    max(value) as maximum,
    sum(value) as total,
    min(recorded_at) as first_seen_at,
    max(recorded_at) as last_seen_at,
    -- A truck has a parameter once at a time, so that no two files can tie.
    min_by(source_file, recorded_at) as first_file,
    bool_or(value_type = 'boolean') as is_seen_as_boolean,
    bool_or(value_type = 'double') as is_seen_as_double,
    bool_or(value_type = 'json') as is_seen_as_json,
    bool_or(value_type = 'varchar') as is_seen_as_varchar
from readings
group by recorded_on, truck_id, parameter
order by recorded_on
