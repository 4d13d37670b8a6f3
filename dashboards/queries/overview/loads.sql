select
    cast(loaded_at as date) as loaded_on,
    cast(sum(rows_loaded) as bigint) as rows_loaded,
    cast(sum(rows_rejected) as bigint) as rows_rejected,
    count(*) filter (where status = 'loaded') as files_loaded,
    count(*) filter (where status = 'rejected') as files_rejected
from meta.loads
where status in ('loaded', 'rejected')
group by all
order by loaded_on desc
limit 60
