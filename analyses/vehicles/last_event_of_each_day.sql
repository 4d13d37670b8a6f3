-- When was each car last heard of on each day, and with what?
select
    vehicle_id,
    day,
    last_event_time,
    last_event_type
from {{ ref('fct_vehicle_daily_summary') }}
order by vehicle_id, day
