select
    source,
    file_name,
    reason,
    file_bytes,
    loaded_at as rejected_at
from meta.loads
where
    status = 'rejected'
    and (len($sources::varchar[]) = 0 or list_contains($sources::varchar[], source))
    and loaded_at >= $low::date
    and loaded_at < $high::date + 1
order by rejected_at desc, source, file_name
limit 1000
