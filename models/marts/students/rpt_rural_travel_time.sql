with

students as (
    select * from {{ ref('fct_student_performance') }}
),

travel_times as (
    select * from {{ ref('seed_students__travel_times') }}
),

rural_students_counted as (
    select
        course,
        traveltime,
        count(*) as students
    from students
    where address = 'r'
    group by course, traveltime
),

travel_times_ranked as (
    select
        course,
        traveltime,
        students,
        rank() over (partition by course order by students desc) as frequency_rank
    from rural_students_counted
)

select
    travel_times_ranked.course,
    travel_times_ranked.traveltime,
    travel_times.travel_time_label,
    travel_times_ranked.students
from travel_times_ranked
left join travel_times
    on travel_times_ranked.traveltime = travel_times.traveltime
where travel_times_ranked.frequency_rank = 1
