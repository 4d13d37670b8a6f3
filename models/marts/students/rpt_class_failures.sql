with

students as (
    select * from {{ ref('fct_student_performance') }}
),

failures_counted as (
    select
        course,
        famsize,
        failures,
        count(*) as students
    from students
    group by course, famsize, failures
),

failures_ranked as (
    select
        course,
        famsize,
        failures,
        students,
        rank() over (partition by course, famsize order by students desc) as frequency_rank
    from failures_counted
)

select
    course,
    famsize,
    failures,
    students
from failures_ranked
where frequency_rank = 1
