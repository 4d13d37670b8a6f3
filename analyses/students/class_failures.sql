-- What is the most frequent number of class failures, per course and family size?
-- All of them when several are equally frequent.
select
    course,
    famsize,
    failures,
    students
from {{ ref('rpt_class_failures') }}
order by course nulls last, famsize, failures
