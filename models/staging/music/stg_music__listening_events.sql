with

source as (
    select * from {{ source('raw', 'listening_events') }}
)

select
    page,
    auth,
    level,
    location,
    gender,
    method,
    status,
    registration,
    first_name,
    last_name,
    session_id,
    item_in_session,
    user_agent,
    song as song_title,
    artist as artist_name,
    length as song_seconds,
    make_timestamp_ms(ts) as occurred_at,
    cast(user_id as bigint) as user_id,
    _load_id,
    _file,
    _row,
    _loaded_at
from source
