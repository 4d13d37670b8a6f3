select
    cast(sum(sessions_started) as bigint) as sessions_started,
    cast(sum(sessions_completed) filter (where year is not null) as bigint) as sessions_completed,
    cast(sum(sessions_completed) filter (where year is null) as bigint) as ends_without_start
from marts.rpt_sessions_by_country
where len($countries::varchar[]) = 0 or list_contains($countries::varchar[], country)
