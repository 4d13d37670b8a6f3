select
    source,
    cast(sum(rows_read) as bigint) as rows_read,
    cast(sum(rows_loaded) as bigint) as rows_loaded,
    cast(sum(rows_rejected) as bigint) as rows_rejected,
    sum(rows_rejected) / nullif(sum(rows_read), 0) as rejected_share,
    count(*) filter (where status = 'rejected') as files_rejected
from meta.loads
where
    (len($sources::varchar[]) = 0 or list_contains($sources::varchar[], source))
    and loaded_at >= $low::date
    and loaded_at < $high::date + 1
group by source
having sum(rows_rejected) > 0 or count(*) filter (where status = 'rejected') > 0
order by rows_rejected desc, source
