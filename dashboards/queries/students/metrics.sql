select
    coalesce(course, '(unknown)') as course,
    school,
    sex,
    students,
    average_g1,
    average_g2,
    average_g3,
    pass_rate,
    median_absences,
    average_study_time
from marts.rpt_student_metrics
where $course::varchar is null or coalesce(course, '(unknown)') = $course
order by course, school, sex
