with

source as (
    select * from {{ source('raw', 'courier_orders') }}
)

select
    order_id,
    city_code,
    _load_id,
    _file,
    _row,
    _loaded_at
from source
