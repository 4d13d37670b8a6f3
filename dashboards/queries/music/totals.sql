select
    count(*) as plays,
    count(distinct plays.user_id) as listeners,
    count(distinct plays.session_id) as sessions,
    count(plays.song_id) as plays_of_known_songs
from marts.fct_songplays as plays
where
    ($level::varchar is null or plays.level = $level)
    and plays.started_at >= $low::date
    and plays.started_at < $high::date + 1
