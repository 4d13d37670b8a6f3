-- In which country did most sessions start in 2016?
select
    country,
    sessions_started
from {{ ref('rpt_sessions_by_country') }}
where year = 2016
order by sessions_started desc, country asc
limit 1
