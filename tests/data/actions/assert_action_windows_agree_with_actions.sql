-- New actions are added to counts that cannot be told from right ones when a load was missed or
-- counted twice. So each window's count must be that of the actions now in the lake.
with

actions_counted as (
    select
        {{ action_window_start('occurred_at') }} as window_start,
        count(*) as total_actions
    from {{ ref('stg_actions__actions') }}
    group by window_start
),

windows as (
    select
        window_start,
        total_actions
    from {{ ref('fct_action_windows') }}
)

select
    windows.total_actions,
    actions_counted.total_actions as actions_delivered,
    coalesce(windows.window_start, actions_counted.window_start) as window_start
from windows
full outer join actions_counted on windows.window_start = actions_counted.window_start
where windows.total_actions is distinct from actions_counted.total_actions
