select
    builds.build_id,
    builds.started_at,
    case
        when results.status in ('pass', 'success') then 'passed'
        when results.status = 'warn' then 'warned'
        when results.status = 'skipped' then 'skipped'
        else 'failed'
    end as outcome,
    count(*) as tests
from meta.build_results as results
inner join meta.builds as builds on results.build_id = builds.build_id
where results.kind in ('test', 'unit_test')
group by all
order by builds.build_id, outcome desc
