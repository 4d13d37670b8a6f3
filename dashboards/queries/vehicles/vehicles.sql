select vehicle_id
from marts.dim_vehicles
order by vehicle_id
