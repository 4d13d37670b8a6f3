with

conversations as (
    select * from {{ ref('fct_customer_courier_conversations') }}
)

select
    city_code,
    count(*) as conversations,
    count(first_responsetime_delay_seconds) as answered,
    quantile_cont(first_responsetime_delay_seconds, 0.5) as median_response_seconds,
    quantile_cont(first_responsetime_delay_seconds, 0.9) as p90_response_seconds,
    count(*) filter (where first_message_by = 'courier') as started_by_courier
from conversations
group by city_code
