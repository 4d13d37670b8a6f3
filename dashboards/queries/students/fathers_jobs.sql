select
    coalesce(course, '(unknown)') as course,
    pstatus as parents_cohabitation,
    rank,
    fjob as fathers_job,
    students
from marts.rpt_fathers_jobs
where $course::varchar is null or coalesce(course, '(unknown)') = $course
order by course, parents_cohabitation, rank
