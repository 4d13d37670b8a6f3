select
    purchase_id,
    version,
    product_id,
    user_id,
    purchased_on,
    valid_from,
    valid_until
from marts.purchases_as_of($day::date)
order by valid_from desc, purchase_id
limit 500
