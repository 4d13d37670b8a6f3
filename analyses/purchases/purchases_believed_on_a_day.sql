-- Which purchases did we believe there were at the end of a day, before anything that arrived
-- later? The day: --vars '{day: 2023-07-21}'.
select
    purchase_id,
    product_id,
    user_id,
    purchased_on
from {{ ref('snap_purchases') }}
where
    dbt_is_deleted = 'False'
    and dbt_valid_from < date '{{ var("day", run_started_at.date()) }}' + 1
    and (dbt_valid_to is null or dbt_valid_to >= date '{{ var("day", run_started_at.date()) }}' + 1)
order by purchase_id asc
