{{ config(
    materialized='incremental',
    incremental_strategy='touched',
    on_schema_change='fail',
    unique_key=['session_date', 'country', 'hour'],
    meta={'release_order': ['hour', 'country']},
) }}

with

sessions as (
    select
        session_date,
        country,
        -- A keyword, but the name is what readers know the column by.
        date_trunc('hour', started_at) as hour,  -- noqa: RF04
        ended_at
    from {{ ref('fct_sessions') }}
    where started_at is not null
)

select
    session_date,
    country,
    hour,
    count(*) as sessions_started,
    count(ended_at) as sessions_completed
from sessions
group by session_date, country, hour
order by session_date
