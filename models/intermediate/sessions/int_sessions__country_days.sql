{{ config(
    materialized='incremental',
    incremental_strategy='touched',
    on_schema_change='fail',
    unique_key=['session_date', 'country'],
    meta={'follows': [{'model': 'fct_sessions'}]},
) }}

with

sessions as (
    select * from {{ ref('fct_sessions') }}
),

sessions_to_follow as (
    select *
    from sessions
    {% if is_incremental() %}
    where {{ is_touched('sessions') }}
    {% endif %}
)

select
    session_date,
    country,
    count(started_at) as sessions_started,
    count(ended_at) as sessions_completed
from sessions_to_follow
group by session_date, country
