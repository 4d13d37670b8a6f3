{{ config(
    materialized='incremental',
    incremental_strategy='touched',
    on_schema_change='fail',
    unique_key='player_id',
    meta={'follows': [{'model': 'fct_sessions'}]},
) }}

{#- What a player's sessions gained and lost is added to what the row knows, so that a day costs a
    day. Only a player who lost the first or the last of all is computed from all sessions. -#}
{%- set adds_to_known = is_incremental() and not was_rebuilt('fct_sessions') %}

with

sessions as (
    select * from {{ ref('fct_sessions') }}
),

{% if adds_to_known %}
-- Sessions as they are now (1) and as they were (-1); one that stayed the same adds up to nothing.
changes as (
    select
        player_id,
        country,
        started_at,
        ended_at,
        duration_seconds,
        sum(_change) as change
    from {{ changes_since('fct_sessions') }}
    group by player_id, country, started_at, ended_at, duration_seconds
    having sum(_change) <> 0
),

changed_players as (
    select
        player_id,
        min(least(started_at, ended_at)) filter (where change > 0) as first_gained,
        min(least(started_at, ended_at)) filter (where change < 0) as first_lost,
        max(greatest(started_at, ended_at)) filter (where change > 0) as last_gained,
        max(greatest(started_at, ended_at)) filter (where change < 0) as last_lost,
        max({ 'started_at': started_at, 'country': country })
        filter (where change > 0 and started_at is not null) as start_gained,
        max({ 'started_at': started_at, 'country': country })
        filter (where change < 0 and started_at is not null) as start_lost,
        sum(change) filter (where started_at is not null) as sessions_started,
        sum(change) filter (where ended_at is not null) as sessions_completed,
        sum(change * duration_seconds) as total_seconds
    from changes
    group by player_id
),

known_players as (
    select
        *,
        case
            when last_started_at is not null
                then { 'started_at': last_started_at, 'country': country }
        end as last_start
    from {{ this }} as known
    where {{ is_touched_row('known') }}
),

-- All players whose row is deleted, so that one whose changes add up to nothing comes back too.
touched_players as (
    select
        coalesce(known.player_id, changed.player_id) as player_id,
        least(known.first_seen_at, changed.first_gained) as first_seen_at,
        greatest(known.last_seen_at, changed.last_gained) as last_seen_at,
        case
            when known.last_start is null then changed.start_gained
            when changed.start_gained > known.last_start then changed.start_gained
            else known.last_start
        end as last_start,
        coalesce(known.sessions_started, 0) + coalesce(changed.sessions_started, 0)
            as sessions_started,
        coalesce(known.sessions_completed, 0) + coalesce(changed.sessions_completed, 0)
            as sessions_completed,
        coalesce(known.total_seconds, 0) + coalesce(changed.total_seconds, 0) as total_seconds,
        coalesce(
            changed.first_lost < coalesce(changed.first_gained, timestamp 'infinity')
            and changed.first_lost <= known.first_seen_at,
            false
        )
        or coalesce(
            changed.last_lost > coalesce(changed.last_gained, timestamp '-infinity')
            and changed.last_lost >= known.last_seen_at,
            false
        )
        or coalesce(changed.start_lost >= known.last_start, false)
        and coalesce(changed.start_gained < known.last_start, true) as has_lost_an_end
    from known_players as known
    full join changed_players as changed on known.player_id = changed.player_id
),
{% endif %}

sessions_to_follow as (
    select *
    from sessions
    {% if adds_to_known %}
    where player_id in (select player_id from touched_players where has_lost_an_end)
    {% elif is_incremental() %}
    where {{ is_touched('sessions') }}
    {% endif %}
),

players as (
    select
        player_id,
        min(least(started_at, ended_at)) as first_seen_at,
        max(greatest(started_at, ended_at)) as last_seen_at,
        max({ 'started_at': started_at, 'country': country })
        filter (where started_at is not null) as last_start,
        count(started_at) as sessions_started,
        count(ended_at) as sessions_completed,
        coalesce(sum(duration_seconds), 0) as total_seconds
    from sessions_to_follow
    group by player_id

    {% if adds_to_known %}
    union all

    select
        player_id,
        first_seen_at,
        last_seen_at,
        last_start,
        sessions_started,
        sessions_completed,
        total_seconds
    from touched_players
    where not has_lost_an_end
    {% endif %}
)

select
    players.player_id,
    players.first_seen_at,
    players.last_seen_at,
    players.last_start.started_at as last_started_at,
    players.last_start.country,
    cast(players.sessions_started as bigint) as sessions_started,
    cast(players.sessions_completed as bigint) as sessions_completed,
    cast(players.total_seconds as bigint) as total_seconds
from players
