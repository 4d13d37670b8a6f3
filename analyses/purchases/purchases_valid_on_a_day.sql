-- What was true on a day, as far as we know today? The day: --vars '{day: 2023-07-21}'.
select
    purchase_id,
    version,
    product_id,
    user_id,
    purchased_on
from {{ ref('purchases_as_of') }}(date '{{ var("day", run_started_at.date()) }}')
order by purchase_id asc
