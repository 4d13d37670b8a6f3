select
    time_bucket(to_minutes($minutes::bigint), window_start) as window_start,
    time_bucket(to_minutes($minutes::bigint), window_start)
    + to_minutes($minutes::bigint) as window_end,
    cast(sum(opens) as bigint) as opens,
    cast(sum(closes) as bigint) as closes,
    cast(sum(other_actions) as bigint) as other_actions,
    cast(sum(total_actions) as bigint) as total_actions
from marts.fct_action_windows
where window_start >= $low::date and window_start < $high::date + 1
group by all
order by 1
