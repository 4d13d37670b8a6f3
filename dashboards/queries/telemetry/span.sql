select
    min(event_date) as low,
    max(event_date) as high
from marts.rpt_engagement_daily
