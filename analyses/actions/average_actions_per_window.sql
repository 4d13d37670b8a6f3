-- How many opens and closes are there in a ten-minute window on average, and which one is busiest?
select
    windows,
    actions,
    average_actions_per_window,
    busiest_window_start
from {{ ref('rpt_action_summary') }}
