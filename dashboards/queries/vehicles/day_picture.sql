select
    time_bucket(interval 5 minutes, event_time) as time_of_day,
    event_type,
    case when bool_or(is_emergency_call) then 'emergency call' else 'no call' end as emergency,
    count(*) as events
from marts.fct_vehicle_events
where vehicle_id = $vehicle::varchar and event_date = $day::date
group by time_of_day, event_type
order by event_type, time_of_day
