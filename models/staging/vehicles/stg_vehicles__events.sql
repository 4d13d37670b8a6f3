with

source as (
    select * from {{ source('raw', 'vehicle_events') }}
),

-- Some cars send the extra data as an object, some as text that holds one.
texts_opened as (
    select
        *,
        case
            when json_type(event_extra_data) = 'VARCHAR'
                then event_extra_data ->> '$'
            else cast(event_extra_data as varchar)
        end as extra_text
    from source
),

extras_parsed as (
    select
        *,
        case when json_valid(extra_text) then cast(extra_text as json) end as extra
    from texts_opened
),

boot_times_read as (
    select
        *,
        try_cast(extra ->> '$.boot_time' as double) as boot_time
    from extras_parsed
)

select
    vehicle_id,
    event_time,
    event_source,
    event_type,
    event_value,
    nullif(extra ->> '$.note', '') as note,
    case when isfinite(boot_time) then boot_time end as boot_time,
    try_cast(extra ->> '$.emergency_call' as boolean) as is_emergency_call,
    _load_id,
    _file,
    _row,
    _loaded_at
from boot_times_read
