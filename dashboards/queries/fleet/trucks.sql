select distinct truck_id
from marts.fct_fleet_parameter_days
order by truck_id
