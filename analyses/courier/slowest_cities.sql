-- In which ten cities does half of the conversations wait longest for an answer?
select
    city_code,
    conversations,
    answered,
    median_response_seconds,
    p90_response_seconds
from {{ ref('rpt_courier_response_by_city') }}
where city_code is not null and answered > 0
order by median_response_seconds desc, city_code asc
limit 10
