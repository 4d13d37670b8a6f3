select
    value_text,
    value_type,
    count(*) as readings,
    max(recorded_at) as last_seen_at
from marts.fct_fleet_readings
where
    parameter = $parameter::varchar
    and value is null
    and recorded_on between $low::date and $high::date
    and ($truck::varchar is null or truck_id = $truck)
group by value_text, value_type
order by readings desc, value_text
limit 50
