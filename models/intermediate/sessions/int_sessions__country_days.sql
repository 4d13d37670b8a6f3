{{ config(
    materialized='incremental',
    incremental_strategy='touched',
    on_schema_change='fail',
    unique_key=['session_date', 'country'],
) }}

with

sessions as (
    select * from {{ ref('fct_sessions') }}
)

select
    session_date,
    country,
    count(started_at) as sessions_started,
    count(ended_at) as sessions_completed
from sessions
group by session_date, country
