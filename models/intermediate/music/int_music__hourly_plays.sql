{{ config(
    materialized='incremental',
    incremental_strategy='touched',
    on_schema_change='fail',
    unique_key='play_date',
    meta={'follows': [{'model': 'fct_songplays'}]},
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
{% if is_incremental() %}
where {{ is_touched('plays') }}
{% endif %}
group by play_date, user_id, cast(extract(hour from started_at) as integer)
