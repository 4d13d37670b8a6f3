-- Which parameters were delivered as more than one type, or were not seen during the last week?
with

parameters as (
    select
        *,
        max(last_seen_at) over () as newest_reading_at
    from {{ ref('dim_fleet_parameters') }}
)

select
    parameter,
    types_seen,
    first_seen_at,
    last_seen_at,
    first_file,
    readings,
    trucks
from parameters
where
    contains(types_seen, ',')
    or last_seen_at < newest_reading_at - interval 7 days
order by parameter
