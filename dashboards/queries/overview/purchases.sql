select
    purchased_on as day,
    cast(sum(purchases) as double) as amount
from marts.rpt_purchases_daily
where purchased_on is not null
group by all
order by day
