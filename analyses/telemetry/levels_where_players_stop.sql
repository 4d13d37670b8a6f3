-- At which levels do most players who start them never get through?
select
    level,
    players_started,
    players_started - players_completed as players_stopped,
    completion_rate
from {{ ref('rpt_level_funnel') }}
order by players_stopped desc, level asc
limit 10
