-- How long does the other side take to answer, and how often does it never?
select
    count(*) as conversations,
    count(*) filter (where first_message_by = 'courier') as started_by_courier,
    count(*) filter (where first_responsetime_delay_seconds is null) as never_answered,
    avg(first_responsetime_delay_seconds) as mean_response_seconds
from {{ ref('fct_customer_courier_conversations') }}
