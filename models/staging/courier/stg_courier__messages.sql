with

source as (
    select * from {{ source('raw', 'courier_messages') }}
)

select
    order_id,
    case when lower(sender_app_type) like 'courier%' then 'courier' else 'customer' end as sender,
    sender_app_type,
    from_id as sender_id,
    to_id as recipient_id,
    customer_id,
    courier_id,
    order_stage,
    message_sent_time as sent_at,
    coalesce(chat_started_by_message, false) as is_chat_start,
    _load_id,
    _file,
    _row,
    _loaded_at
from source
