select
    coalesce(last_message_order_stage, '(unknown)') as last_stage,
    count(*) as conversations
from marts.fct_customer_courier_conversations
where
    (
        len($cities::varchar[]) = 0
        or list_contains($cities::varchar[], coalesce(city_code, '(unknown)'))
    )
    and conversation_started_at >= $low::date
    and conversation_started_at < $high::date + 1
group by all
order by conversations desc, last_stage
