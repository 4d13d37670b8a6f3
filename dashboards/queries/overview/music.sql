select
    cast(started_at as date) as day,
    cast(count(*) as double) as amount
from marts.fct_songplays
where started_at is not null
group by all
order by day
