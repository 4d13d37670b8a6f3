{{ config(
    materialized='incremental',
    incremental_strategy='touched',
    on_schema_change='fail',
    unique_key='event_date',
    meta={'follows': [{'model': 'fct_game_events'}]},
) }}

with

events as (
    select * from {{ ref('fct_game_events') }}
),

events_to_follow as (
    select *
    from events
    {% if is_incremental() %}
    where {{ is_touched('events') }}
    {% endif %}
)

select
    event_date,
    level,
    player_id,
    count(*) filter (where event_name = 'level_start') as attempts,
    count(*) filter (where event_name = 'level_complete') as completions,
    count(*) filter (where event_name = 'level_fail') as failures
from events_to_follow
where event_name in ('level_start', 'level_complete', 'level_fail')
group by event_date, level, player_id
