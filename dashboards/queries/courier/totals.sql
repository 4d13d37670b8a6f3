select
    count(*) as conversations,
    count(first_responsetime_delay_seconds) as answered,
    median(first_responsetime_delay_seconds) as median_seconds,
    quantile_cont(first_responsetime_delay_seconds, 0.9) as p90_seconds,
    count(*) filter (where first_message_by = 'courier') as started_by_courier
from marts.fct_customer_courier_conversations
where
    (
        len($cities::varchar[]) = 0
        or list_contains($cities::varchar[], coalesce(city_code, '(unknown)'))
    )
    and conversation_started_at >= $low::date
    and conversation_started_at < $high::date + 1
