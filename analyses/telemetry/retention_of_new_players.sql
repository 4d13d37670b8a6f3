-- How many of those who were new came back a day and a week later, over all days that can tell?
select
    sum(new_players * day_1_retention)
    / sum(new_players) filter (where day_1_retention is not null) as day_1_retention,
    sum(new_players * day_7_retention)
    / sum(new_players) filter (where day_7_retention is not null) as day_7_retention
from {{ ref('rpt_engagement_daily') }}
