{{ config(
    materialized='incremental',
    incremental_strategy='touched',
    on_schema_change='fail',
    unique_key='player_id',
) }}

with

players as (
    {% call(sessions) combined(
        ref('fct_sessions'),
        by='player_id',
        columns={
            'first_seen_at': 'min',
            'last_seen_at': 'max',
            'last_started_at': 'max',
            'country': 'last by last_started_at',
            'sessions_started': 'sum',
            'sessions_completed': 'sum',
            'total_seconds': 'sum',
        },
    ) %}
    select
        player_id,
        least(started_at, ended_at) as first_seen_at,
        greatest(started_at, ended_at) as last_seen_at,
        started_at as last_started_at,
        country,
        case when started_at is not null then 1 end as sessions_started,
        case when ended_at is not null then 1 end as sessions_completed,
        duration_seconds as total_seconds
    from {{ sessions }}
    {% endcall %}
)

select
    player_id,
    first_seen_at,
    last_seen_at,
    last_started_at,
    country,
    cast(sessions_started as bigint) as sessions_started,
    cast(sessions_completed as bigint) as sessions_completed,
    cast(total_seconds as bigint) as total_seconds
from players
