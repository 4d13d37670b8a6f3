select
    cast(window_start as date) as day,
    cast(sum(total_actions) as double) as amount
from marts.fct_action_windows
where window_start is not null
group by all
order by day
