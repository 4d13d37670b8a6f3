-- Which ten songs are played most, whether we know them or not?
select
    song_title,
    artist_name,
    count(*) as plays,
    count(distinct user_id) as listeners
from {{ ref('fct_songplays') }}
group by song_title, artist_name
order by plays desc, song_title asc, artist_name asc
limit 10
