with

students as (
    select * from {{ ref('fct_student_performance') }}
),

jobs_counted as (
    select
        course,
        pstatus,
        fjob,
        count(*) as students
    from students
    group by course, pstatus, fjob
),

jobs_ranked as (
    select
        course,
        pstatus,
        fjob,
        students,
        row_number() over (
            partition by course, pstatus
            order by students desc, fjob asc
        ) as job_rank
    from jobs_counted
)

select
    course,
    pstatus,
    cast(job_rank as integer) as rank,
    fjob,
    students
from jobs_ranked
where job_rank <= 3
