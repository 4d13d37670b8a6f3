select
    min(recorded_on) as low,
    max(recorded_on) as high
from marts.fct_fleet_parameter_days
