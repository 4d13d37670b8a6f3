{{ config(
    materialized='incremental',
    incremental_strategy='touched',
    on_schema_change='fail',
    unique_key='window_start',
    meta={
        'follows': [
            {
                'source': 'actions',
                'keys': [action_window_start(action_time('"time"')) ~ ' as window_start'],
            },
        ],
        'release_order': ['window_start'],
    },
) }}

{#- New actions are added to what the windows count already, so that a day costs a day. Only when
    actions were taken back must the windows be computed from all of their actions. -#}
{%- set adds_to_known = is_incremental() and not has_taken_back('actions') %}

with

actions as (
    select
        action,
        _load_id,
        {{ action_window_start('occurred_at') }} as window_start
    from {{ ref('stg_actions__actions') }}
),

actions_to_follow as (
    select *
    from actions
    {% if adds_to_known %}
    where {{ is_new('actions') }}
    {% elif is_incremental() %}
    where {{ is_touched('actions') }}
    {% endif %}
),

counts as (
    select
        window_start,
        count(*) filter (where action = 'Open') as opens,
        count(*) filter (where action = 'Close') as closes,
        count(*) as total_actions
    from actions_to_follow
    group by window_start

    {% if adds_to_known %}
    union all

    select
        window_start,
        opens,
        closes,
        total_actions
    from {{ this }} as known
    where {{ is_touched_row('known') }}
    {% endif %}
),

windows as (
    select
        window_start,
        cast(sum(opens) as bigint) as opens,
        cast(sum(closes) as bigint) as closes,
        cast(sum(total_actions) as bigint) as total_actions
    from counts
    group by window_start
)

select
    window_start,
    window_start + interval 10 minutes as window_end,
    opens,
    closes,
    total_actions - opens - closes as other_actions,
    total_actions,
    cast(opens + closes as double) / 2 as average_actions
from windows
order by window_start
