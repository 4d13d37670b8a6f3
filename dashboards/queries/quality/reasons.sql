with

reasons as (
    select
        source,
        unnest(reasons) as reason,
        replayed_at
    from meta.rejected_rows
    where
        (len($sources::varchar[]) = 0 or list_contains($sources::varchar[], source))
        and rejected_at >= $low::date
        and rejected_at < $high::date + 1
)

select
    reason,
    source,
    count(*) as rows_rejected,
    count(replayed_at) as rows_replayed
from reasons
group by all
order by rows_rejected desc, reason, source
limit 200
