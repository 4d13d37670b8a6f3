select
    source,
    file_name,
    reason,
    rows_read,
    rows_loaded,
    rows_rejected,
    loaded_at as replayed_at
from meta.loads
where
    reason like 'replay of load %'
    and (len($sources::varchar[]) = 0 or list_contains($sources::varchar[], source))
    and loaded_at >= $low::date
    and loaded_at < $high::date + 1
order by replayed_at desc, source, file_name
limit 1000
