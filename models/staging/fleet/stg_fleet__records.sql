with

source as (
    select * from {{ source('raw', 'fleet_readings') }}
)

select
    truck_id,
    recorded_at,
    _extra as sensor_values,
    _load_id,
    _file,
    _row,
    _loaded_at
from source
