select
    windows,
    actions,
    average_actions_per_window,
    busiest_window_start
from marts.rpt_action_summary
