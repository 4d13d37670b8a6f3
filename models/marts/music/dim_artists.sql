{{ config(
    materialized='incremental',
    incremental_strategy='touched',
    on_schema_change='fail',
    unique_key='artist_id',
) }}

with

songs as (
    select * from {{ ref('stg_music__songs') }}
),

-- An artist comes with each of their songs, not always in the same way: the values alone decide.
ranked as (
    select
        *,
        row_number() over (
            partition by artist_id
            order by
                artist_name nulls last,
                artist_location nulls last,
                artist_latitude nulls last,
                artist_longitude nulls last
        ) as value_rank
    from songs
)

select
    artist_id,
    artist_name as name,  -- noqa: RF04
    artist_location as location,  -- noqa: RF04
    artist_latitude as latitude,
    artist_longitude as longitude
from ranked
where value_rank = 1
