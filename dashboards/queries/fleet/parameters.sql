select parameter
from marts.dim_fleet_parameters
order by data_type != 'double', parameter
