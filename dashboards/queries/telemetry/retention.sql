-- Which share of those who were new on a day was seen again so many days later.
with

days as (
    select distinct
        player_id,
        event_date
    from marts.fct_game_events
),

players as (
    select
        player_id,
        event_date,
        min(event_date) over (partition by player_id) as first_day
    from days
),

counted as (
    select
        first_day,
        event_date - first_day as days_later,
        count(*) as players
    from players
    where
        first_day between greatest($low::date, $high::date - 30) and $high::date
        and event_date - first_day <= 14
    group by all
)

select
    strftime(first_day, '%Y-%m-%d') as new_on,
    days_later,
    players / max(players) over (partition by first_day) as retention,
    players
from counted
where days_later > 0
order by new_on, days_later
