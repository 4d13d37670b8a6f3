with

changes as (
    unpivot (
        select
            purchased_on as day,
            new_versions,
            deletions
        from marts.rpt_purchases_daily
        where purchased_on between $low::date and $high::date
    )
    on new_versions, deletions
    into name kind value changes
)

select
    day,
    replace(kind, '_', ' ') as kind,
    changes
from changes
where changes > 0
order by day, kind
