select
    cast(min(started_at) as date) as low,
    cast(max(started_at) as date) as high
from marts.fct_songplays
