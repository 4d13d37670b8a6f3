{{ config(
    materialized='incremental',
    incremental_strategy='touched',
    on_schema_change='fail',
    unique_key=['session_date', 'country', 'hour'],
    meta={
        'follows': [
            {
                'model': 'fct_sessions',
                'keys': ['session_date', 'country', "date_trunc('hour', started_at) as hour"],
            },
        ],
        'release_order': ['hour', 'country'],
    },
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
    hour,
    count(*) as sessions_started,
    count(ended_at) as sessions_completed
from sessions_to_follow
group by session_date, country, hour
order by session_date
