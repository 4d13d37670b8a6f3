select
    country,
    cast(sum(sessions_completed) as bigint) as sessions_completed,
    cast(sum(sessions_started) as bigint) as sessions_started,
    sum(sessions_completed) / sum(sessions_started) as completion_rate
from marts.rpt_sessions_by_country_hour
where
    (len($countries::varchar[]) = 0 or list_contains($countries::varchar[], country))
    and hour >= $low::date
    and hour < $high::date + 1
group by country
order by sessions_completed desc, country
limit 10
