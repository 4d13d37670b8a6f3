-- In which ten hours of the week is most played?
select
    weekday,
    hour,
    plays,
    listeners
from {{ ref('rpt_listening_by_hour') }}
order by plays desc, weekday asc, hour asc
limit 10
