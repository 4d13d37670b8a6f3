with

versions as (
    select * from {{ ref('fct_purchase_versions') }}
)

select
    purchase_id,
    product_id,
    user_id,
    purchased_on,
    version,
    valid_from as last_changed_on
from versions
where is_current
