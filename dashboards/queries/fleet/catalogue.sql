select
    parameter,
    data_type,
    types_seen,
    first_seen_at,
    last_seen_at,
    readings,
    trucks,
    first_file
from marts.dim_fleet_parameters
order by first_seen_at desc, parameter
