{{ config(
    materialized='incremental',
    incremental_strategy='touched',
    on_schema_change='fail',
    meta={'touched_by': 'source_file'},
) }}

{%- set record_columns = [
    'school', 'sex', 'age', 'address', 'famsize', 'pstatus', 'medu', 'fedu', 'mjob', 'fjob',
    'reason', 'guardian', 'traveltime', 'studytime', 'failures', 'schoolsup', 'famsup', 'paid',
    'activities', 'nursery', 'higher', 'internet', 'romantic', 'famrel', 'freetime', 'goout',
    'dalc', 'walc', 'health', 'absences', 'g1', 'g2', 'g3',
] %}

with

deliveries as (
    select
        *,
        _file as source_file
    from {{ ref('stg_students__performance') }}
),

deliveries_touched as (
    select *
    from deliveries
),

complete_records as (
    select *
    from deliveries_touched
    where
        {{ record_columns | join(' is not null\n        and ') }} is not null
),

repeats_numbered as (
    select
        *,
        row_number() over (
            partition by
                source_file,
                {{ record_columns | join(',\n                ') }}
            order by _row
        ) as repeat_number
    from complete_records
),

repeats_dropped as (
    select * from repeats_numbered
    where repeat_number = 1
)

select
    md5(concat(source_file, '#', cast(_row as varchar))) as student_key,
    course,
    _loaded_at as delivered_at,
    source_file,
    school,
    sex,
    age,
    address,
    famsize,
    pstatus,
    medu,
    fedu,
    mjob,
    fjob,
    reason,
    guardian,
    traveltime,
    studytime,
    failures,
    case schoolsup when 'yes' then true when 'no' then false end as schoolsup,
    case famsup when 'yes' then true when 'no' then false end as famsup,
    case paid when 'yes' then true when 'no' then false end as paid,
    case activities when 'yes' then true when 'no' then false end as activities,
    case nursery when 'yes' then true when 'no' then false end as nursery,
    case higher when 'yes' then true when 'no' then false end as higher,
    case internet when 'yes' then true when 'no' then false end as internet,
    case romantic when 'yes' then true when 'no' then false end as romantic,
    famrel,
    freetime,
    goout,
    dalc,
    walc,
    health,
    absences,
    g1,
    g2,
    g3,
    g3 >= 10 as is_passed,
    (g1 + g2 + g3) / cast(3 as double) as grade_average
from repeats_dropped
