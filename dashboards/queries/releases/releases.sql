select
    release_id,
    released_at,
    is_current,
    lake_snapshot,
    build_id
from meta.releases
order by release_id desc
