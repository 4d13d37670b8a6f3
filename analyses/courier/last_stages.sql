-- At what stage of the order do conversations end?
select
    last_message_order_stage,
    count(*) as conversations
from {{ ref('fct_customer_courier_conversations') }}
group by last_message_order_stage
order by conversations desc, last_message_order_stage asc
