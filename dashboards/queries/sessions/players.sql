select
    player_id,
    sessions_completed,
    sessions_started,
    country,
    total_seconds as played_seconds,
    last_seen_at
from marts.dim_players
where len($countries::varchar[]) = 0 or list_contains($countries::varchar[], country)
order by sessions_completed desc, player_id
limit 10
