{{ config(
    materialized='incremental',
    incremental_strategy='touched',
    on_schema_change='fail',
    meta={'touched_by': 'play_date'},
) }}

with

plays as (
    select * from {{ ref('fct_songplays') }}
)

select
    play_date,
    user_id,
    cast(extract(hour from started_at) as integer) as hour,  -- noqa: RF04
    count(*) as plays
from plays
group by play_date, user_id, cast(extract(hour from started_at) as integer)
