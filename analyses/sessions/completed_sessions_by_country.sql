-- In which ten countries were most sessions completed? (A session without a start has no country.)
select
    country,
    cast(sum(sessions_completed) as bigint) as sessions_completed
from {{ ref('rpt_sessions_by_country') }}
where country is not null
group by country
order by sessions_completed desc, country asc
limit 10
