select
    cast(loaded_at as date) as loaded_on,
    source,
    cast(sum(rows_rejected) as bigint) as rows_rejected
from meta.loads
where
    (len($sources::varchar[]) = 0 or list_contains($sources::varchar[], source))
    and loaded_at >= $low::date
    and loaded_at < $high::date + 1
group by all
having sum(rows_rejected) > 0
order by loaded_on, rows_rejected desc
