{{ config(
    materialized='incremental',
    incremental_strategy='touched',
    on_schema_change='fail',
    meta={'touched_by': 'event_date'},
) }}

with

events as (
    select * from {{ ref('fct_game_events') }}
)

select
    event_date,
    level,
    player_id,
    count(*) filter (where event_name = 'level_start') as attempts,
    count(*) filter (where event_name = 'level_complete') as completions,
    count(*) filter (where event_name = 'level_fail') as failures
from events
where event_name in ('level_start', 'level_complete', 'level_fail')
group by event_date, level, player_id
