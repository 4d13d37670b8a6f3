-- The dashboard's totals are sums over the metrics. They are right only if every student record
-- is in exactly one group, those of files without a known course included.
with

records_counted as (
    select count(*) as record_count
    from {{ ref('fct_student_performance') }}
),

metrics_summed as (
    select coalesce(sum(students), 0) as students
    from {{ ref('rpt_student_metrics') }}
)

select
    records_counted.record_count,
    metrics_summed.students
from records_counted
cross join metrics_summed
where records_counted.record_count != metrics_summed.students
