{{ config(
    materialized='incremental',
    incremental_strategy='touched',
    on_schema_change='fail',
    unique_key='user_id',
    meta={
        'follows': [
            {'source': 'listening_events', 'keys': ['cast(user_id as bigint) as user_id']},
        ],
    },
) }}

{#- As in fct_sessions: new events are added to what the rows know, unless some were taken back. -#}
{%- set adds_to_known = is_incremental() and not has_taken_back('listening_events') %}

with

events as (
    select * from {{ ref('stg_music__listening_events') }}
    where user_id is not null
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

observations as (
    select
        user_id,
        occurred_at as last_event_at,
        level,
        first_name,
        last_name,
        gender,
        page = 'NextSong' as has_played
    from events_to_follow

    {% if adds_to_known %}
    union all

    select
        user_id,
        last_event_at,
        level,
        first_name,
        last_name,
        gender,
        has_played
    from {{ this }} as known
    where {{ is_touched_row('known') }}
    {% endif %}
),

ranked as (
    select
        *,
        bool_or(has_played) over (partition by user_id) as has_ever_played,
        row_number() over (
            partition by user_id
            order by
                last_event_at desc,
                level desc nulls last,
                first_name desc nulls last,
                last_name desc nulls last,
                gender desc nulls last
        ) as recency_rank
    from observations
)

select
    user_id,
    last_event_at,
    level,
    first_name,
    last_name,
    gender,
    has_ever_played as has_played
from ranked
where recency_rank = 1
