-- On which days did cars call for help, and how many of them?
select
    day,
    count(*) as vehicles,
    cast(sum(emergency_calls) as bigint) as emergency_calls
from {{ ref('fct_vehicle_daily_summary') }}
where emergency_calls > 0
group by day
order by day
