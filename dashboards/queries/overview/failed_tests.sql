select
    name,
    tested,
    status,
    failures,
    message,
    tested_at
from meta.test_results
where status is null or status not in ('pass', 'success')
order by name
