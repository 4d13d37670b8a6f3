select
    year,
    max_by(country, (sessions_started, country)) as top_country,
    max(sessions_started) as sessions_of_top_country,
    cast(sum(sessions_started) as bigint) as sessions_started
from marts.rpt_sessions_by_country
where year is not null
group by year
order by year
