select
    cast(min(loaded_at) as date) as low,
    cast(max(loaded_at) as date) as high
from meta.loads
