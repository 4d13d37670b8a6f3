{{ config(
    materialized='incremental',
    incremental_strategy='touched',
    on_schema_change='fail',
    unique_key='started_at',
) }}

with

plays as (
    select * from {{ ref('fct_songplays') }}
),

times as (
    select distinct started_at
    from plays
)

-- Keywords, but the names are what readers know the columns by.
select
    started_at,
    cast(extract(hour from started_at) as integer) as hour,  -- noqa: RF04
    cast(extract(day from started_at) as integer) as day,  -- noqa: RF04
    cast(extract(week from started_at) as integer) as week,  -- noqa: RF04
    cast(extract(month from started_at) as integer) as month,  -- noqa: RF04
    cast(extract(year from started_at) as integer) as year,  -- noqa: RF04
    cast(extract(dow from started_at) as integer) as weekday  -- noqa: RF04
from times
order by started_at
