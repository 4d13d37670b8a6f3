with

sessions as (
    select * from {{ ref('fct_sessions') }}
)

select
    country,
    -- A keyword, but the name is what readers know the column by.
    cast(extract(year from started_at) as integer) as year,  -- noqa: RF04
    count(started_at) as sessions_started,
    count(ended_at) as sessions_completed
from sessions
group by country, cast(extract(year from started_at) as integer)
