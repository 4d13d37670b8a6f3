{{ config(event_time='updated_at') }}

with

source as (
    select * from {{ source('raw', 'shop_orders') }}
)

select
    id as order_id,
    customer as customer_id,
    ordered_on,
    status,
    updated_at,
    _load_id,
    _row
from source
