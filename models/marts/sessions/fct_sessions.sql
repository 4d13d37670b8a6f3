{{ config(
    materialized='incremental',
    incremental_strategy='touched',
    on_schema_change='fail',
    unique_key='session_id',
    meta={
        'follows': [{'source': 'session_events'}],
        'tracks': ['player_id', 'session_date', 'country', 'started_at'],
        'release_order': ['session_date'],
    },
) }}

{#- New events are added to what the rows know already, so that a day costs a day. Only when
    events were taken back must the rows be computed from all of their events. -#}
{%- set adds_to_known = is_incremental() and not has_taken_back('session_events') %}

with

events as (
    select * from {{ ref('stg_sessions__events') }}
),

events_to_follow as (
    select *
    from events
    {% if adds_to_known %}
    where {{ is_new('events') }}
    {% elif is_incremental() %}
    where {{ is_touched('events') }}
    {% endif %}
),

-- What an event says of its session, in the form of a row of this table: so that a row says the
-- same as all the events behind it, and both can be aggregated alike.
observations as (
    select
        session_id,
        player_id,
        country,
        case when event_type = 'start' then occurred_at end as started_at,
        case when event_type = 'end' then occurred_at end as ended_at,
        _loaded_at as first_loaded_at,
        _loaded_at as last_loaded_at
    from events_to_follow

    {% if adds_to_known %}
    union all

    select
        session_id,
        player_id,
        country,
        started_at,
        ended_at,
        first_loaded_at,
        last_loaded_at
    from {{ this }} as known
    where {{ is_touched_row('known') }}
    {% endif %}
),

sessions as (
    select
        session_id,
        coalesce(
            min_by(player_id, (started_at, player_id, country))
            filter (where started_at is not null),
            max_by(player_id, (ended_at, player_id))
            filter (where ended_at is not null)
        ) as player_id,
        min_by(country, (started_at, player_id, country))
        filter (where started_at is not null) as country,
        min(started_at) as started_at,
        max(ended_at) as ended_at,
        min(first_loaded_at) as first_loaded_at,
        max(last_loaded_at) as last_loaded_at
    from observations
    group by session_id
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
