-- Sessions are not computed again from all events at each build: new events are added to what a
-- session knows. A build that missed a load, or kept sessions of rows that were taken back, would
-- go unseen: every row would look right.
with

sessions as (
    select
        count(*) as session_count,
        min(started_at) as first_started_at,
        max(ended_at) as last_ended_at,
        min(first_loaded_at) as first_loaded_at,
        max(last_loaded_at) as last_loaded_at
    from {{ ref('fct_sessions') }}
),

events as (
    select
        count(distinct session_id) as session_count,
        min(occurred_at) filter (where event_type = 'start') as first_started_at,
        max(occurred_at) filter (where event_type = 'end') as last_ended_at,
        min(_loaded_at) as first_loaded_at,
        max(_loaded_at) as last_loaded_at
    from {{ ref('stg_sessions__events') }}
)

select
    sessions.session_count,
    events.session_count as session_count_of_events
from sessions
cross join events
where
    sessions.session_count != events.session_count
    or sessions.first_started_at is distinct from events.first_started_at
    or sessions.last_ended_at is distinct from events.last_ended_at
    or sessions.first_loaded_at is distinct from events.first_loaded_at
    or sessions.last_loaded_at is distinct from events.last_loaded_at
