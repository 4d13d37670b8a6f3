select
    purchased_on,
    purchases,
    buyers,
    new_versions,
    deletions
from marts.rpt_purchases_daily
where purchased_on between $low::date and $high::date
order by purchased_on
