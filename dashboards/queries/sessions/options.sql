select distinct country
from marts.rpt_sessions_by_country
where country is not null
order by country
