select
    ['Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat', 'Sun'][isodow(plays.started_at)] as weekday,
    hour(plays.started_at) as hour_of_day,
    count(*) as plays,
    count(distinct plays.user_id) as listeners
from marts.fct_songplays as plays
where
    ($level::varchar is null or plays.level = $level)
    and plays.started_at >= $low::date
    and plays.started_at < $high::date + 1
group by isodow(plays.started_at), hour_of_day
order by isodow(plays.started_at), hour_of_day
