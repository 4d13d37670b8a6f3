select
    cast(conversation_started_at as date) as day,
    first_message_by,
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
order by day, first_message_by
