select
    cast(plays.started_at as date) as day,
    coalesce(plays.level, '(unknown)') as level,
    count(*) as plays
from marts.fct_songplays as plays
where
    ($level::varchar is null or plays.level = $level)
    and plays.started_at >= $low::date
    and plays.started_at < $high::date + 1
group by all
order by day, level
