with

students as (
    select * from {{ ref('fct_student_performance') }}
)

select distinct
    course,
    mjob
from students
where sex = 'm' and age < 20
