-- An order may come long after its messages. Its city must appear then, although no message is
-- new; and it must go when a corrected delivery no longer has the order.
with

orders as (
    select
        order_id,
        max(city_code) as city_code
    from {{ ref('stg_courier__orders') }}
    group by order_id
),

conversations as (
    select * from {{ ref('fct_customer_courier_conversations') }}
)

select
    conversations.order_id,
    orders.city_code,
    conversations.city_code as city_code_in_mart
from conversations
left join orders on conversations.order_id = orders.order_id
where orders.city_code is distinct from conversations.city_code
