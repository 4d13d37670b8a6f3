{{ config(
    materialized='incremental',
    incremental_strategy='touched',
    on_schema_change='fail',
    unique_key='session_id',
    meta={'release_order': ['session_date']},
) }}

with

sessions as (
    {% call(events) combined(
        ref('stg_sessions__events'),
        by='session_id',
        columns={
            'started_at': 'min',
            'ended_at': 'max',
            'player_id': ['first by started_at', 'last by ended_at'],
            'country': 'first by started_at',
            'first_loaded_at': 'min',
            'last_loaded_at': 'max',
        },
    ) %}
    select
        session_id,
        player_id,
        country,
        case when event_type = 'start' then occurred_at end as started_at,
        case when event_type = 'end' then occurred_at end as ended_at,
        _loaded_at as first_loaded_at,
        _loaded_at as last_loaded_at
    from {{ events }}
    {% endcall %}
)

select
    session_id,
    player_id,
    country,
    started_at,
    ended_at,
    ended_at is not null as is_completed,
    case
        when ended_at >= started_at
            then {{ whole_seconds_between('started_at', 'ended_at') }}
    end as duration_seconds,
    coalesce(ended_at < started_at, false) as has_clock_skew,
    cast(coalesce(started_at, ended_at) as date) as session_date,
    first_loaded_at,
    last_loaded_at
from sessions
-- A day's rows lie together: what asks for a few days then reads little, the next build included.
order by session_date
