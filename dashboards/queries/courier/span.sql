select
    cast(min(conversation_started_at) as date) as low,
    cast(max(conversation_started_at) as date) as high
from marts.fct_customer_courier_conversations
