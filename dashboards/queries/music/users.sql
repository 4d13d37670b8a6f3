select
    plays.user_id,
    any_value(users.first_name || ' ' || users.last_name) as name,
    any_value(users.level) as level,
    count(*) as plays,
    count(distinct plays.session_id) as sessions,
    max(plays.started_at) as last_played_at
from marts.fct_songplays as plays
inner join marts.dim_users as users on plays.user_id = users.user_id
where
    ($level::varchar is null or plays.level = $level)
    and plays.started_at >= $low::date
    and plays.started_at < $high::date + 1
group by plays.user_id
order by plays desc, plays.user_id
limit 10
