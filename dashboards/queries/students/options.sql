select distinct coalesce(course, '(unknown)') as course
from marts.fct_student_performance
order by course
