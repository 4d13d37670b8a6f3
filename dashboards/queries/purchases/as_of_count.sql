select count(*) as purchases
from marts.purchases_as_of($day::date)
