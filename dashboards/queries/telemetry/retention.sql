with

player_days as (
    select distinct
        player_id,
        event_date
    from marts.fct_game_events
),

first_days as (
    select
        player_id,
        min(event_date) as first_day
    from player_days
    group by player_id
),

cohorts as (
    select
        first_day,
        count(*) as new_players
    from first_days
    group by first_day
),

returns as (
    select
        first_days.first_day,
        player_days.event_date,
        count(*) as players_back
    from player_days
    inner join first_days on player_days.player_id = first_days.player_id
    where player_days.event_date - first_days.first_day between 1 and 14
    group by all
),

-- What nobody can know yet is left out: a day counts as soon as there are any events of it.
known_days as (
    select
        cohorts.first_day,
        cohorts.new_players,
        days.event_date
    from cohorts
    inner join marts.rpt_engagement_daily as days
        on days.event_date - cohorts.first_day between 1 and 14
)

select
    known_days.first_day,
    cast(known_days.event_date - known_days.first_day as integer) as days_later,
    known_days.new_players,
    coalesce(returns.players_back, 0) as players_back
from known_days
left join returns
    on
        known_days.first_day = returns.first_day
        and known_days.event_date = returns.event_date
order by known_days.first_day, days_later
