select
    min(valid_from) as low,
    greatest(max(valid_from), max(valid_until), max(last_seen_on)) as high
from marts.fct_purchase_versions
