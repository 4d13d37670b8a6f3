{{ config(
    materialized='incremental',
    incremental_strategy='touched',
    on_schema_change='fail',
    unique_key='order_id',
) }}

with

messages as (
    select * from {{ ref('stg_courier__messages') }}
),

orders as (
    select * from {{ ref('stg_courier__orders') }}
),

cities as (
    select
        order_id,
        max(city_code) as city_code
    from orders
    group by order_id
),

repeats_dropped as (
    select
        order_id,
        sender,
        sender_id,
        sent_at,
        order_stage,
        -- Sorts the messages of an order: the time, then the one that started the chat, then the
        -- place in the file. Of one that was delivered twice, the first place counts.
        min((sent_at, not is_chat_start, _file, _row)) as place
    from messages
    group by order_id, sender, sender_id, sent_at, order_stage
),

conversations as (
    select
        order_id,
        min(sent_at) filter (where sender = 'courier') as first_courier_message,
        min(sent_at) filter (where sender = 'customer') as first_customer_message,
        count(*) filter (where sender = 'courier') as num_messages_courier,
        count(*) filter (where sender = 'customer') as num_messages_customer,
        min_by(sender, place) as first_message_by,
        min(sent_at) as conversation_started_at,
        max(sent_at) as last_message_time,
        -- The last message's stage, also if it has none.
        arg_max_null(order_stage, place) as last_message_order_stage
    from repeats_dropped
    group by order_id
)

select
    conversations.order_id,
    cities.city_code,
    conversations.first_courier_message,
    conversations.first_customer_message,
    conversations.num_messages_courier,
    conversations.num_messages_customer,
    conversations.first_message_by,
    conversations.conversation_started_at,
    -- One side's first message is the conversation's first, the other side's is the answer.
    abs({{ whole_seconds_between(
        'conversations.first_courier_message', 'conversations.first_customer_message'
    ) }}) as first_responsetime_delay_seconds,
    conversations.last_message_time,
    conversations.last_message_order_stage
from conversations
left join cities on conversations.order_id = cities.order_id
