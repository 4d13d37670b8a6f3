select
    cast(conversation_started_at as date) as day,
    cast(count(*) as double) as amount
from marts.fct_customer_courier_conversations
where conversation_started_at is not null
group by all
order by day
