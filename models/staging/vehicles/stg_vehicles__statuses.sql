with

source as (
    select * from {{ source('raw', 'vehicle_statuses') }}
)

select
    vehicle_id,
    report_time as reported_at,
    status_source,
    status,
    _load_id,
    _file,
    _row,
    _loaded_at
from source
