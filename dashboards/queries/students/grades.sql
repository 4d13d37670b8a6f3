with

grades as (
    unpivot (
        select
            g1,
            g2,
            g3
        from marts.fct_student_performance
        where $course::varchar is null or coalesce(course, '(unknown)') = $course
    )
    on g1, g2, g3
    into name period value grade
)

select
    grade,
    upper(period) as period,
    count(*) as students
from grades
group by all
order by grade, period
