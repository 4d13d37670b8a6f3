with

source as (
    select * from {{ source('raw', 'purchases') }}
)

select
    snapshot_date,
    purchase_id,
    product as product_id,
    user as user_id,
    date as purchased_on,
    _load_id,
    _file,
    _row,
    _loaded_at
from source
