select max(day) as last_day
from marts.fct_vehicle_daily_summary
where vehicle_id = $vehicle::varchar
