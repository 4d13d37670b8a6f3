{{ config(
    materialized='incremental',
    incremental_strategy='touched',
    on_schema_change='fail',
    unique_key='event_id',
    meta={
        'follows': [{'source': 'game_events'}],
        'release_order': ['event_date', 'player_id', 'occurred_at'],
    },
) }}

{#- New events are held against what the rows know already, so that a day costs a day. Only when
    events were taken back must the first one be found among all deliveries. -#}
{%- set adds_to_known = is_incremental() and not has_taken_back('game_events') %}
{%- set event_columns = [
    'event_id', 'received_at', 'occurred_at', 'player_id', 'session_id', 'event_name', 'level',
    'item_id', 'amount', 'currency', 'platform', 'app_version',
] %}

with

events as (
    select * from {{ ref('stg_telemetry__events') }}
),

-- Held in memory, millions of rows with all their columns would take longer than reading again.
deliveries as not materialized (
    select
        {{ event_columns | join(',\n        ') }}
    from events
    {% if adds_to_known %}
    where {{ is_new('events') }}

    union all

    select
        {{ event_columns | join(',\n        ') }}
    from {{ this }} as known
    where {{ is_touched_row('known') }}
    {% elif is_incremental() %}
    where {{ is_touched('events') }}
    {% endif %}
),

repeated as (
    select event_id
    from deliveries
    group by event_id
    having count(*) > 1
),

-- Few events come more than once: ranking those alone takes two thirds of the time.
repeats_ranked as (
    select
        *,
        row_number() over (
            partition by event_id
            order by
                {{ event_columns[1:] | join(',\n                ') }}
        ) as delivery_rank
    from deliveries
    where event_id in (select repeated.event_id from repeated)
),

first_deliveries as (
    select
        {{ event_columns | join(',\n        ') }}
    from deliveries
    where event_id not in (select repeated.event_id from repeated)

    union all

    select
        {{ event_columns | join(',\n        ') }}
    from repeats_ranked
    where delivery_rank = 1
)

select
    event_id,
    player_id,
    session_id,
    event_name,
    level,
    item_id,
    amount,
    currency,
    platform,
    app_version,
    occurred_at,
    received_at,
    cast(occurred_at as date) as event_date
from first_deliveries
