{{ config(
    materialized='incremental',
    incremental_strategy='touched',
    on_schema_change='fail',
    unique_key='event_date',
    meta={
        'follows': [{'model': 'fct_game_events'}],
        'tracks': ['event_date'],
    },
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
{% if is_incremental() %}
where {{ is_touched('events') }}
{% endif %}
group by event_date, player_id
