with

source as (
    select * from {{ source('raw', 'songs') }}
)

select
    song_id,
    title,
    artist_id,
    artist_name,
    artist_location,
    artist_latitude,
    artist_longitude,
    nullif(year, 0) as year,  -- noqa: RF04
    duration as duration_seconds,
    _load_id,
    _file,
    _row,
    _loaded_at
from source
