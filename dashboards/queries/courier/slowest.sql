select
    order_id,
    coalesce(city_code, '(unknown)') as city_code,
    first_message_by,
    conversation_started_at,
    first_responsetime_delay_seconds as response_seconds,
    num_messages_courier,
    num_messages_customer,
    last_message_order_stage
from marts.fct_customer_courier_conversations
where
    (
        len($cities::varchar[]) = 0
        or list_contains($cities::varchar[], coalesce(city_code, '(unknown)'))
    )
    and conversation_started_at >= $low::date
    and conversation_started_at < $high::date + 1
    and first_responsetime_delay_seconds is not null
order by response_seconds desc, order_id
limit 100
