select
    event_date as day,
    cast(sum(events) as double) as amount
from marts.rpt_engagement_daily
where event_date is not null
group by all
order by day
