select
    count(*) as windows,
    cast(coalesce(sum(total_actions), 0) as bigint) as actions,
    cast(avg(opens + closes) as double) as average_actions_per_window,
    max(total_actions) as most_actions,
    min_by(window_start, (-total_actions, window_start)) as busiest_window_start
from marts.fct_action_windows
where window_start >= $low::date and window_start < $high::date + 1
