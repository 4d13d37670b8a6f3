select
    min(day) as low,
    max(day) as high
from marts.fct_vehicle_daily_summary
