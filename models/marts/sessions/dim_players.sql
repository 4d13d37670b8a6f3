{{ config(
    materialized='incremental',
    incremental_strategy='touched',
    on_schema_change='fail',
    unique_key='player_id',
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
    player_id,
    min(least(started_at, ended_at)) as first_seen_at,
    max(greatest(started_at, ended_at)) as last_seen_at,
    max_by(country, (started_at, country)) filter (where started_at is not null) as country,
    count(started_at) as sessions_started,
    count(ended_at) as sessions_completed,
    cast(coalesce(sum(duration_seconds), 0) as bigint) as total_seconds
from sessions_to_follow
group by player_id
