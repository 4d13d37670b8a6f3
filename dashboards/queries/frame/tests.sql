select
    case
        when status in ('pass', 'success') then 'passed'
        when status = 'warn' then 'warned'
        when status is null then 'not run'
        else 'failed'
    end as status,
    count(*) as tests
from meta.test_results
group by all
order by status
