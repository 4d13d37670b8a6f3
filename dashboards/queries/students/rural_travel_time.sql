select
    coalesce(course, '(unknown)') as course,
    traveltime,
    travel_time_label,
    students
from marts.rpt_rural_travel_time
where $course::varchar is null or coalesce(course, '(unknown)') = $course
order by course, traveltime
