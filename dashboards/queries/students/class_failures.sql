select
    coalesce(course, '(unknown)') as course,
    famsize as family_size,
    failures,
    students
from marts.rpt_class_failures
where $course::varchar is null or coalesce(course, '(unknown)') = $course
order by course, family_size, failures
