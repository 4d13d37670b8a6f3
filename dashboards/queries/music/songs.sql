select
    songs.title || ' · ' || artists.name as song,
    count(*) as plays,
    count(distinct plays.user_id) as listeners
from marts.fct_songplays as plays
inner join marts.dim_songs as songs on plays.song_id = songs.song_id
inner join marts.dim_artists as artists on plays.artist_id = artists.artist_id
where
    ($level::varchar is null or plays.level = $level)
    and plays.started_at >= $low::date
    and plays.started_at < $high::date + 1
group by all
order by plays desc, song
limit 10
