select
    cast(hour as date) as day,
    cast(sum(sessions_started) as double) as amount
from marts.rpt_sessions_by_country_hour
where hour is not null
group by all
order by day
