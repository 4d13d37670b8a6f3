select
    cast(hour as date) as day,
    cast(sum(sessions_started) as bigint) as sessions_started
from marts.rpt_sessions_by_country_hour
where
    (len($countries::varchar[]) = 0 or list_contains($countries::varchar[], country))
    and hour >= $low::date
    and hour < $high::date + 1
group by all
order by day
