-- Only the orders that new data touches are computed again. A build that missed a batch, or kept a
-- conversation of messages that were taken back, would go unseen: every row would look right. So
-- there must be as many conversations as distinct orders among the messages, none of them without
-- a message, and each with all of its own.
with

distinct_messages as (
    select distinct
        order_id,
        sender,
        sender_id,
        sent_at,
        order_stage
    from {{ ref('stg_courier__messages') }}
),

messages_counted as (
    select
        order_id,
        count(*) as message_count
    from distinct_messages
    group by order_id
),

conversations as (
    select
        order_id,
        num_messages_courier + num_messages_customer as message_count
    from {{ ref('fct_customer_courier_conversations') }}
)

select
    messages_counted.message_count,
    conversations.message_count as message_count_in_mart,
    coalesce(messages_counted.order_id, conversations.order_id) as order_id
from messages_counted
full outer join conversations on messages_counted.order_id = conversations.order_id
where messages_counted.message_count is distinct from conversations.message_count
