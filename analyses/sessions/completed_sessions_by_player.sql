-- Which ten players completed most sessions?
select
    player_id,
    sessions_completed
from {{ ref('dim_players') }}
order by sessions_completed desc, player_id asc
limit 10
