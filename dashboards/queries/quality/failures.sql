select
    results.build_id,
    builds.started_at,
    results.kind,
    results.name,
    results.status,
    results.rows as failures,
    results.message
from meta.build_results as results
inner join meta.builds as builds on results.build_id = builds.build_id
where results.status not in ('pass', 'success', 'no-op', 'skipped')
order by results.build_id desc, results.name
limit 1000
