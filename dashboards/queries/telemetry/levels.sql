select
    level,
    players_started,
    players_completed,
    attempts,
    completions,
    failures,
    completion_rate
from marts.rpt_level_funnel
order by level
limit 60
