-- Which distinct jobs do the mothers of male students younger than 20 have, per course?
select
    course,
    mjob
from {{ ref('rpt_mothers_jobs') }}
order by course nulls last, mjob
