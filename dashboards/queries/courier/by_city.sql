select
    coalesce(city_code, '(unknown)') as city_code,
    median(first_responsetime_delay_seconds) / 60 as median_response_minutes,
    quantile_cont(first_responsetime_delay_seconds, 0.9) / 60 as p90_response_minutes,
    count(*) as conversations,
    count(first_responsetime_delay_seconds) as answered,
    count(first_responsetime_delay_seconds) / count(*) as answered_share
from marts.fct_customer_courier_conversations
where
    (
        len($cities::varchar[]) = 0
        or list_contains($cities::varchar[], coalesce(city_code, '(unknown)'))
    )
    and conversation_started_at >= $low::date
    and conversation_started_at < $high::date + 1
group by all
order by median_response_minutes desc nulls last, city_code
limit 30
