with

windows as (
    select * from {{ ref('fct_action_windows') }}
)

select
    count(*) as windows,
    cast(coalesce(sum(total_actions), 0) as bigint) as actions,
    cast(avg(opens + closes) as double) as average_actions_per_window,
    min_by(window_start, (-total_actions, window_start)) as busiest_window_start
from windows
