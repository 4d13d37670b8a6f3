{{ config(
    materialized='incremental',
    incremental_strategy='touched',
    on_schema_change='fail',
    unique_key='song_id',
) }}

with

songs as (
    select * from {{ ref('stg_music__songs') }}
),

-- A song that was delivered more than once is decided by its values alone.
ranked as (
    select
        *,
        row_number() over (
            partition by song_id
            order by
                title nulls last,
                artist_id,
                year nulls last,
                duration_seconds nulls last
        ) as value_rank
    from songs
)

select
    song_id,
    title,
    artist_id,
    year,
    duration_seconds as duration
from ranked
where value_rank = 1
