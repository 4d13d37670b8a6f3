-- How many parameters appeared on each day, and in which file was the first of them?
select
    cast(first_seen_at as date) as appeared_on,
    count(*) as new_parameters,
    min_by(first_file, (first_seen_at, first_file)) as first_file
from {{ ref('dim_fleet_parameters') }}
group by cast(first_seen_at as date)
order by appeared_on
