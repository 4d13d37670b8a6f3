-- Which three jobs do fathers have most often, per course and cohabitation status?
-- Equally frequent ones follow the alphabet.
select
    course,
    pstatus,
    rank,
    fjob,
    students
from {{ ref('rpt_fathers_jobs') }}
order by course nulls last, pstatus, rank
