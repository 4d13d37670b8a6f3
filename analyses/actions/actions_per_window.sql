-- How many opens and closes were there in each window of a day, and what is their mean? The day:
-- --vars '{day: 2016-07-26}'.
select
    window_start,
    window_end,
    opens,
    closes,
    average_actions
from {{ ref('fct_action_windows') }}
where cast(window_start as date) = date '{{ var("day", run_started_at.date()) }}'
order by window_start
