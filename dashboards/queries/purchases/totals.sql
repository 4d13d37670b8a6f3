select
    count(*) as purchases,
    count(distinct user_id) as buyers,
    count(*) filter (where version > 1) as changed
from marts.fct_purchases
