with

level_days as (
    select * from {{ ref('int_telemetry__level_days') }}
)

select
    level,
    count(distinct player_id) filter (where attempts > 0) as players_started,
    count(distinct player_id) filter (where completions > 0) as players_completed,
    cast(sum(attempts) as bigint) as attempts,
    cast(sum(completions) as bigint) as completions,
    cast(sum(failures) as bigint) as failures,
    sum(completions) / cast(nullif(sum(attempts), 0) as double) as completion_rate
from level_days
group by level
