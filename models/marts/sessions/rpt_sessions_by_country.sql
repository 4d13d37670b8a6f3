with

country_days as (
    select * from {{ ref('int_sessions__country_days') }}
),

years_given as (
    select
        country,
        -- Without a country no start was seen, and the day is that of the end.
        case when country is not null then cast(year(session_date) as integer) end as start_year,
        sessions_started,
        sessions_completed
    from country_days
)

select
    country,
    -- A keyword, but the name is what readers know the column by.
    start_year as year,  -- noqa: RF04
    cast(sum(sessions_started) as bigint) as sessions_started,
    cast(sum(sessions_completed) as bigint) as sessions_completed
from years_given
group by country, start_year
