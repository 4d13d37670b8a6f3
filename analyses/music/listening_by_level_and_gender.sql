-- Who listens: how many users are there of each level and gender, and how much do they play?
select
    users.level,
    users.gender,
    count(distinct users.user_id) as users,
    count(*) as plays
from {{ ref('fct_songplays') }} as plays
inner join {{ ref('dim_users') }} as users on plays.user_id = users.user_id
group by users.level, users.gender
order by users.level, users.gender
