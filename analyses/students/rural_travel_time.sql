-- What is the most frequent travel time of students with a rural address, per course?
-- All of them when several are equally frequent.
select
    course,
    traveltime,
    travel_time_label,
    students
from {{ ref('rpt_rural_travel_time') }}
order by course nulls last, traveltime
