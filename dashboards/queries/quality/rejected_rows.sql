select
    source,
    file_name,
    row_number,
    array_to_string(reasons, '; ') as reasons,
    raw_row,
    rejected_at,
    replayed_at,
    load_id
from meta.rejected_rows
where
    (len($sources::varchar[]) = 0 or list_contains($sources::varchar[], source))
    and rejected_at >= $low::date
    and rejected_at < $high::date + 1
    and ($reason::varchar is null or list_contains(reasons, $reason))
order by rejected_at desc, source, file_name, row_number
limit 1000
