-- The mart is built file by file as deliveries arrive, are corrected or loaded again. A build that
-- missed a file, or kept records of an earlier version of one, would go unseen: every row would
-- look right. So for each file there must be as many records as distinct complete rows in raw.
{%- set record_columns = [
    'school', 'sex', 'age', 'address', 'famsize', 'pstatus', 'medu', 'fedu', 'mjob', 'fjob',
    'reason', 'guardian', 'traveltime', 'studytime', 'failures', 'schoolsup', 'famsup', 'paid',
    'activities', 'nursery', 'higher', 'internet', 'romantic', 'famrel', 'freetime', 'goout',
    'dalc', 'walc', 'health', 'absences', 'g1', 'g2', 'g3',
] %}

with

deliveries as (
    select * from {{ ref('stg_students__performance') }}
),

records as (
    select * from {{ ref('fct_student_performance') }}
),

complete_rows as (
    select distinct
        _file,
        {{ record_columns | join(',\n        ') }}
    from deliveries
    where
        {{ record_columns | join(' is not null\n        and ') }} is not null
),

complete_rows_counted as (
    select
        _file as source_file,
        count(*) as row_count
    from complete_rows
    group by _file
),

records_counted as (
    select
        source_file,
        count(*) as record_count
    from records
    group by source_file
)

select
    complete_rows_counted.row_count,
    records_counted.record_count,
    coalesce(complete_rows_counted.source_file, records_counted.source_file) as source_file
from complete_rows_counted
full outer join records_counted
    on complete_rows_counted.source_file = records_counted.source_file
where complete_rows_counted.row_count is distinct from records_counted.record_count
