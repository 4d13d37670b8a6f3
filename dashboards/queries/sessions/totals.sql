with

ends_without_start as (
    select coalesce(sum(sessions_completed), 0) as sessions_completed
    from marts.rpt_sessions_by_country
    where country is null
),

hours as (
    select
        coalesce(sum(sessions_started), 0) as sessions_started,
        coalesce(sum(sessions_completed), 0) as sessions_completed
    from marts.rpt_sessions_by_country_hour
    where
        (len($countries::varchar[]) = 0 or list_contains($countries::varchar[], country))
        and hour >= $low::date
        and hour < $high::date + 1
)

select
    cast(hours.sessions_started as bigint) as sessions_started,
    cast(hours.sessions_completed as bigint) as sessions_completed,
    cast(ends_without_start.sessions_completed as bigint) as ends_without_start
from hours
cross join ends_without_start
