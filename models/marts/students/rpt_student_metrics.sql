with

students as (
    select * from {{ ref('fct_student_performance') }}
)

select
    course,
    school,
    sex,
    count(*) as students,
    cast(avg(g1) as double) as average_g1,
    cast(avg(g2) as double) as average_g2,
    cast(avg(g3) as double) as average_g3,
    cast(avg(case when is_passed then 1 else 0 end) as double) as pass_rate,
    cast(median(absences) as double) as median_absences,
    cast(avg(studytime) as double) as average_study_time
from students
group by course, school, sex
