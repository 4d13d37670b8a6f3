select
    version,
    product_id,
    user_id,
    purchased_on,
    valid_from,
    valid_until,
    coalesce(valid_until, (select max(last_seen_on) + 1 from marts.fct_purchase_versions))
        as shown_until,
    is_current,
    is_deleted,
    first_seen_on,
    last_seen_on
from marts.fct_purchase_versions
where purchase_id = $purchase::bigint
order by version
