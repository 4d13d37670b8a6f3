select
    coalesce(status, '(unknown)') as fleet_status,
    count(*) as vehicles
from marts.dim_vehicles
group by all
order by vehicles desc, fleet_status
