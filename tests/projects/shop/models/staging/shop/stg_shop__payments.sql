select
    id as payment_id,
    order_id,
    cents
from {{ source('raw', 'shop_payments') }}
