with

source as (
    select * from {{ source('raw', 'game_events') }}
)

select
    event_id,
    player_id,
    session_id,
    event_name,
    level,
    item_id,
    amount,
    upper(currency) as currency,
    platform,
    app_version,
    occurred_at,
    received_at,
    _load_id,
    _file,
    _row,
    _loaded_at
from source
