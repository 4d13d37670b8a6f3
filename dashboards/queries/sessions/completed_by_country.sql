select
    country,
    cast(sum(sessions_completed) as bigint) as sessions_completed,
    cast(sum(sessions_started) as bigint) as sessions_started,
    sum(sessions_completed) / sum(sessions_started) as completion_rate
from marts.rpt_sessions_by_country
where
    country is not null
    and (len($countries::varchar[]) = 0 or list_contains($countries::varchar[], country))
group by country
order by sessions_completed desc, country
limit 10
