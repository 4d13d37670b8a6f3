select
    cast(min(hour) as date) as low,
    cast(max(hour) as date) as high
from marts.rpt_sessions_by_country_hour
