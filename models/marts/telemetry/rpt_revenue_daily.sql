{{ config(
    materialized='incremental',
    incremental_strategy='touched',
    on_schema_change='fail',
    unique_key='event_date',
    meta={
        'follows': [{'model': 'fct_game_events'}, {'model': 'int_telemetry__player_days'}],
        'release_order': ['event_date', 'currency'],
    },
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
),

player_days as (
    select * from {{ ref('int_telemetry__player_days') }}
),

revenue as (
    select
        event_date,
        currency,
        count(*) as purchases,
        sum(amount) as revenue,
        count(distinct player_id) as paying_players
    from events_to_follow
    where event_name = 'purchase'
    group by event_date, currency
),

active_players as (
    select
        event_date,
        count(*) as active_players
    from player_days
    {% if is_incremental() %}
    where {{ is_touched('player_days') }}
    {% endif %}
    group by event_date
)

select
    revenue.event_date,
    revenue.currency,
    revenue.purchases,
    revenue.revenue,
    revenue.paying_players,
    cast(revenue.revenue as double) / active_players.active_players as revenue_per_active_player
from revenue
left join active_players on revenue.event_date = active_players.event_date
