with

source as (
    select * from {{ source('raw', 'student_performance') }}
)

select
    case lower(course_code)
        when 'mat' then 'mathematics'
        when 'por' then 'portuguese'
    end as course,
    nullif(lower(trim(school)), '') as school,
    nullif(lower(trim(sex)), '') as sex,
    age,
    nullif(lower(trim(address)), '') as address,
    nullif(lower(trim(famsize)), '') as famsize,
    nullif(lower(trim(pstatus)), '') as pstatus,
    medu,
    fedu,
    nullif(lower(trim(mjob)), '') as mjob,
    nullif(lower(trim(fjob)), '') as fjob,
    nullif(lower(trim(reason)), '') as reason,
    nullif(lower(trim(guardian)), '') as guardian,
    traveltime,
    studytime,
    failures,
    nullif(lower(trim(schoolsup)), '') as schoolsup,
    nullif(lower(trim(famsup)), '') as famsup,
    nullif(lower(trim(paid)), '') as paid,
    nullif(lower(trim(activities)), '') as activities,
    nullif(lower(trim(nursery)), '') as nursery,
    nullif(lower(trim(higher)), '') as higher,
    nullif(lower(trim(internet)), '') as internet,
    nullif(lower(trim(romantic)), '') as romantic,
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
    _load_id,
    _file,
    _row,
    _loaded_at
from source
