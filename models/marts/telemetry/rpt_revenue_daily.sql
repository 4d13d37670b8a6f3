{{ config(
    materialized='incremental',
    incremental_strategy='touched',
    on_schema_change='fail',
    unique_key=['event_date', 'currency'],
    meta={
        'touched_by': 'event_date',
        'release_order': ['event_date', 'currency'],
    },
) }}

with

events as (
    select * from {{ ref('fct_game_events') }}
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
    from events
    where event_name = 'purchase'
    group by event_date, currency
),

active_players as (
    select
        event_date,
        count(*) as active_players
    from player_days
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
