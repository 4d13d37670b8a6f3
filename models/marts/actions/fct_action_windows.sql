{{ config(
    materialized='incremental',
    incremental_strategy='touched',
    on_schema_change='fail',
    unique_key='window_start',
    meta={'release_order': ['window_start']},
) }}

with

windows as (
    {% call(actions) combined(
        ref('stg_actions__actions'),
        by='window_start',
        columns={'opens': 'sum', 'closes': 'sum', 'total_actions': 'sum'},
    ) %}
    select
        {{ action_window_start('occurred_at') }} as window_start,
        case when action = 'Open' then 1 end as opens,
        case when action = 'Close' then 1 end as closes,
        1 as total_actions
    from {{ actions }}
    {% endcall %}
)

select
    window_start,
    window_start + interval 10 minutes as window_end,
    cast(opens as bigint) as opens,
    cast(closes as bigint) as closes,
    cast(total_actions - opens - closes as bigint) as other_actions,
    cast(total_actions as bigint) as total_actions,
    cast(opens + closes as double) / 2 as average_actions
from windows
order by window_start
