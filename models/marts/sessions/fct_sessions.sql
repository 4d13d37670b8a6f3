{{ config(
    materialized='incremental',
    incremental_strategy='touched',
    on_schema_change='fail',
    unique_key='session_id',
    meta={
        'follows': [{'source': 'session_events'}],
        'tracks': [
            'player_id', 'session_date', 'country', 'started_at', 'ended_at', 'duration_seconds',
        ],
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

-- One value for the first start and one for the last end, rather than one for each column: of ten
-- million events, the groups then fit into 3 GB.
sessions as (
    select
        session_id,
        min({ 'started_at': started_at, 'player_id': player_id, 'country': country })
        filter (where started_at is not null) as first_start,
        max({ 'ended_at': ended_at, 'player_id': player_id })
        filter (where ended_at is not null) as last_end,
        min(first_loaded_at) as first_loaded_at,
        max(last_loaded_at) as last_loaded_at
    from observations
    group by session_id
),

sessions_unpacked as (
    select
        sessions.session_id,
        coalesce(sessions.first_start.player_id, sessions.last_end.player_id) as player_id,
        sessions.first_start.country,
        sessions.first_start.started_at,
        sessions.last_end.ended_at,
        sessions.first_loaded_at,
        sessions.last_loaded_at
    from sessions
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
from sessions_unpacked
-- A day's rows lie together: what asks for a few days then reads little, the next build included.
order by session_date
