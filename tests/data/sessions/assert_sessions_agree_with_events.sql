-- Sessions are not computed again from all events at each build: new events are added to what a
-- session knows. A build that missed a load, or kept sessions of rows that were taken back, would
-- go unseen: every row would look right. What loads brought or took back since the last green build
-- is what can have gone wrong.
with

sessions as (
    select * from {{ ref('fct_sessions') }}
),

new_events as (
    select *
    from {{ ref('stg_sessions__events') }}
    where _load_id > {{ tested_load() }}
),

events_by_session as (
    select
        session_id,
        min(occurred_at) filter (where event_type = 'start') as first_started_at,
        max(occurred_at) filter (where event_type = 'end') as last_ended_at,
        min(_loaded_at) as first_loaded_at,
        max(_loaded_at) as last_loaded_at
    from new_events
    group by session_id
),

sessions_taken_back as (
    select distinct session_id
    from {{ replaced('session_events') }}
    where _replaced_by > {{ tested_load() }}
),

-- Without an event there is no session.
sessions_without_event as (
    select sessions.session_id
    from sessions
    inner join sessions_taken_back on sessions.session_id = sessions_taken_back.session_id
    left join {{ ref('stg_sessions__events') }} as events
        on sessions.session_id = events.session_id
    where events.session_id is null
),

sessions_that_miss_an_event as (
    select events_by_session.session_id
    from events_by_session
    left join sessions on events_by_session.session_id = sessions.session_id
    where
        sessions.session_id is null
        -- A start or end that is not known compares as one that is not covered.
        or coalesce(sessions.started_at > events_by_session.first_started_at, false)
        or (sessions.started_at is null and events_by_session.first_started_at is not null)
        or coalesce(sessions.ended_at < events_by_session.last_ended_at, false)
        or (sessions.ended_at is null and events_by_session.last_ended_at is not null)
        or sessions.first_loaded_at > events_by_session.first_loaded_at
        or sessions.last_loaded_at < events_by_session.last_loaded_at
)

select session_id from sessions_without_event
union all
select session_id from sessions_that_miss_an_event
