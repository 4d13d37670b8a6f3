select
    parameter,
    data_type,
    types_seen,
    first_seen_at,
    last_seen_at,
    first_file,
    readings,
    trucks
from marts.dim_fleet_parameters
order by data_type not in ('double', 'bigint'), parameter
limit 5000
