select
    cast(delivered_at as date) as day,
    cast(count(*) as double) as amount
from marts.fct_student_performance
where delivered_at is not null
group by all
order by day
