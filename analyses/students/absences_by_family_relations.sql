-- What is the median number of absences of students who rate their family relationships 3 or
-- lower, per course, sex and rating?
select
    course,
    sex,
    famrel,
    students,
    median_absences
from {{ ref('rpt_absences_by_family_relations') }}
order by course nulls last, sex, famrel
