select
    cast(loaded_at as date) as loaded_on,
    cast(sum(rows_rejected) as bigint) as rows_rejected,
    cast(sum(rows_read) as bigint) as rows_read
from meta.loads
where
    (len($sources::varchar[]) = 0 or list_contains($sources::varchar[], source))
    and loaded_at >= $low::date
    and loaded_at < $high::date + 1
group by all
order by loaded_on
