select purchase_id
from marts.fct_purchase_versions
group by purchase_id
order by max(version) desc, purchase_id
limit 1
