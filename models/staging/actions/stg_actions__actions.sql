with

source as (
    select * from {{ source('raw', 'actions') }}
)

select
    {{ action_time('"time"') }} as occurred_at,
    action,
    _load_id,
    _file,
    _row,
    _loaded_at
from source
