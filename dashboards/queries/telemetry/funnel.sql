select
    level,
    players_started,
    players_completed,
    attempts,
    completion_rate
from marts.rpt_level_funnel
order by level
limit 100
