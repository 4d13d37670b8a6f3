with

students as (
    select * from {{ ref('fct_student_performance') }}
)

select
    course,
    sex,
    famrel,
    count(*) as students,
    cast(median(absences) as double) as median_absences
from students
where famrel <= 3
group by course, sex, famrel
