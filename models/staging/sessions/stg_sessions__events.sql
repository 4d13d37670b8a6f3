with

source as (
    select * from {{ source('raw', 'session_events') }}
)

select
    session_id,
    player_id,
    event as event_type,
    upper(country) as country,
    ts as occurred_at,
    _load_id,
    _file,
    _row,
    _loaded_at
from source
