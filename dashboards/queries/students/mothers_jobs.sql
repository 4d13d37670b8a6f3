select
    coalesce(course, '(unknown)') as course,
    mjob as mothers_job
from marts.rpt_mothers_jobs
where $course::varchar is null or coalesce(course, '(unknown)') = $course
order by course, mothers_job
