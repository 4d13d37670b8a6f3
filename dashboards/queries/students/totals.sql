select
    count(*) as students,
    avg(cast(is_passed as integer)) as pass_rate,
    avg(g3) as average_g3,
    median(absences) as median_absences
from marts.fct_student_performance
where $course::varchar is null or coalesce(course, '(unknown)') = $course
