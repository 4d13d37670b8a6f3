select
    ['Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat', 'Sun'][isodow(window_start)] as weekday,
    hour(window_start) as hour_of_day,
    cast(sum(total_actions) as bigint) as actions
from marts.fct_action_windows
where window_start >= $low::date and window_start < $high::date + 1
group by isodow(window_start), hour_of_day
order by isodow(window_start), hour_of_day
