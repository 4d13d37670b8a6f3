select distinct coalesce(status, '(unknown)') as status
from marts.dim_vehicles
order by status
