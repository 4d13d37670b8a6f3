select distinct currency
from marts.rpt_revenue_daily
order by currency
