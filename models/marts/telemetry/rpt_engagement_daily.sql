with

player_days as (
    select * from {{ ref('int_telemetry__player_days') }}
),

first_days as (
    select
        player_id,
        min(event_date) as first_date
    from player_days
    group by player_id
),

ages as (
    select
        player_days.event_date,
        player_days.events,
        first_days.first_date,
        player_days.event_date - first_days.first_date as age_days
    from player_days
    inner join first_days on player_days.player_id = first_days.player_id
),

days as (
    select
        event_date,
        count(*) as daily_active_players,
        count(*) filter (where age_days = 0) as new_players,
        cast(sum(events) as bigint) as events
    from ages
    group by event_date
),

-- Of the players who were new on a day, those who came back.
returns as (
    select
        first_date,
        count(*) filter (where age_days = 1) as players_back_on_day_1,
        count(*) filter (where age_days = 7) as players_back_on_day_7
    from ages
    where age_days in (0, 1, 7)
    group by first_date
)

select
    days.event_date,
    days.daily_active_players,
    days.new_players,
    days.events,
    -- The join finds a later day only when it is in the data; before, nobody can know.
    case
        when day_1.event_date is not null
            then returns.players_back_on_day_1 / cast(days.new_players as double)
    end as day_1_retention,
    case
        when day_7.event_date is not null
            then returns.players_back_on_day_7 / cast(days.new_players as double)
    end as day_7_retention
from days
left join returns on days.event_date = returns.first_date
left join days as day_1 on days.event_date + 1 = day_1.event_date
left join days as day_7 on days.event_date + 7 = day_7.event_date
