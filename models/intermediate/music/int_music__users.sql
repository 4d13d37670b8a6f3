{{ config(
    materialized='incremental',
    incremental_strategy='touched',
    on_schema_change='fail',
    unique_key='user_id',
) }}

with

users as (
    {% call(events) combined(
        ref('stg_music__listening_events'),
        by='user_id',
        columns={
            'last_event_at': 'max',
            'level': 'last by last_event_at',
            'first_name': 'last by last_event_at',
            'last_name': 'last by last_event_at',
            'gender': 'last by last_event_at',
            'has_played': 'max',
        },
    ) %}
    select
        user_id,
        occurred_at as last_event_at,
        level,
        first_name,
        last_name,
        gender,
        page = 'NextSong' as has_played
    from {{ events }}
    where user_id is not null
    {% endcall %}
)

select * from users
