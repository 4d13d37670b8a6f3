select
    cast(coalesce(sum(rows_read), 0) as bigint) as rows_read,
    cast(coalesce(sum(rows_rejected), 0) as bigint) as rows_rejected,
    count(*) filter (where status = 'rejected') as files_rejected,
    cast(coalesce(
        sum(rows_loaded) filter (where reason like 'replay of load %'), 0
    ) as bigint) as rows_replayed
from meta.loads
where
    (len($sources::varchar[]) = 0 or list_contains($sources::varchar[], source))
    and loaded_at >= $low::date
    and loaded_at < $high::date + 1
