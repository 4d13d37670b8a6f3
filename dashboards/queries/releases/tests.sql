select
    unique_id,
    name,
    coalesce(status, 'not run') as status,
    failures
from meta.test_results
order by unique_id
