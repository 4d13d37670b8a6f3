select distinct coalesce(city_code, '(unknown)') as city_code
from marts.fct_customer_courier_conversations
order by city_code
