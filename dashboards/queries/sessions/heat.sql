select
    ['Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat', 'Sun'][isodow(hour)] as weekday,
    hour(hour) as hour_of_day,
    cast(sum(sessions_started) as bigint) as sessions_started
from marts.rpt_sessions_by_country_hour
where
    (len($countries::varchar[]) = 0 or list_contains($countries::varchar[], country))
    and hour >= $low::date
    and hour < $high::date + 1
group by isodow(hour), hour_of_day
order by isodow(hour), hour_of_day
