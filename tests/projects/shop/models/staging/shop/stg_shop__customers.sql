select
    id as customer_id,
    name,
    _load_id,
    _row
from {{ source('raw', 'shop_customers') }}
