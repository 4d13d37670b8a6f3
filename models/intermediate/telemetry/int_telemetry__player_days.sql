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
    player_id,
    count(*) as events
from events
group by event_date, player_id
