-- How many orders went without a word?
select count(distinct orders.order_id) as orders_without_messages
from {{ ref('stg_courier__orders') }} as orders
left join {{ ref('fct_customer_courier_conversations') }} as conversations
    on orders.order_id = conversations.order_id
where conversations.order_id is null
