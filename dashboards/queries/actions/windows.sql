-- Beyond a fortnight of ten-minute windows a screen shows no single one: then hours are drawn.
with

counted as (
    select
        case
            when $high::date - $low::date > 14 then date_trunc('hour', window_start)
            else window_start
        end as window_start,
        opens,
        closes,
        other_actions as other
    from marts.fct_action_windows
    where
        window_start >= $low::date
        and window_start < $high::date + 1
),

kinds as (
    unpivot counted
    on opens, closes, other
    into name kind value actions
)

select
    window_start,
    kind,
    cast(sum(actions) as bigint) as actions
from kinds
where kind != 'other' or actions > 0
group by all
order by window_start, kind
