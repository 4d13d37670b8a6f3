-- Who listens: how many listeners are there of each level and gender, and how much do they play?
select
    listeners.level,
    listeners.gender,
    count(distinct listeners.user_id) as listener_count,
    count(*) as play_count
from {{ ref('fct_songplays') }} as plays
inner join {{ ref('dim_users') }} as listeners on plays.user_id = listeners.user_id
group by listeners.level, listeners.gender
order by listeners.level, listeners.gender
