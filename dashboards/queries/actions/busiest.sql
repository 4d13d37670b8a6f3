select
    window_start,
    total_actions,
    opens,
    closes,
    other_actions
from marts.fct_action_windows
where window_start >= $low::date and window_start < $high::date + 1
order by total_actions desc, window_start
limit 10
