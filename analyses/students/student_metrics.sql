-- How do students do, per course, school and sex?
select
    course,
    school,
    sex,
    students,
    average_g1,
    average_g2,
    average_g3,
    pass_rate,
    median_absences,
    average_study_time
from {{ ref('rpt_student_metrics') }}
order by course nulls last, school, sex
