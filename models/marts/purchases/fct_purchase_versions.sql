with

changes as (
    select * from {{ ref('int_purchases__changes') }}
),

newest_snapshot as (
    select max(snapshot_date) as snapshot_date
    from {{ ref('stg_purchases__purchases') }}
),

changes_in_order as (
    select
        *,
        lag(is_missing) over history as was_missing,
        lead(snapshot_date) over history as ended_on,
        lead(previous_snapshot_date) over history as last_seen_on,
        lead(is_missing) over history as is_missing_next
    from changes
    window history as (partition by purchase_id order by snapshot_date)
),

-- The lint rule is off for a name that the mart has promised.
versions as (
    select
        purchase_id,
        cast(row_number() over history as integer) as version, -- noqa: RF04
        product_id,
        user_id,
        purchased_on,
        snapshot_date as first_seen_on,
        last_seen_on,
        ended_on,
        coalesce(was_missing, false) as is_return,
        coalesce(is_missing_next, false) as is_deleted
    from changes_in_order
    where not is_missing
    window history as (partition by purchase_id order by snapshot_date)
),

-- Where a version starts depends on where the one before it started, which seems to call for a
-- recursion. But no version starts before the latest date so far (returns aside, whose date does
-- not count), and none after the later of that date and its own snapshot: each starts on one of
-- these two days.
latest_dates as (
    select
        *,
        max(case when not is_return then purchased_on end) over history as latest_date
    from versions
    window history as (partition by purchase_id order by version)
),

latest_dates_compared as (
    select
        *,
        lag(latest_date) over history as latest_date_before,
        lag(first_seen_on) over history as first_seen_before
    from latest_dates
    window history as (partition by purchase_id order by version)
),

-- Which of the two: undecided is only a date later than all before it, but not later than the
-- snapshot in which the version before was new. It lies between the two days on which that one may
-- have started, so it is after that start if, and only if, that start was the earlier one.
starts_decided as (
    select
        *,
        case
            when latest_date_before is null or latest_date >= first_seen_on then true
            when is_return or purchased_on <= latest_date_before then false
            when purchased_on > first_seen_before then true
        end as is_from_date
    from latest_dates_compared
),

dated as (
    select
        *,
        case
            when last_value(is_from_date ignore nulls) over history then latest_date
            else first_seen_on
        end as valid_from
    from starts_decided
    window history as (partition by purchase_id order by version)
)

select
    dated.purchase_id,
    dated.version,
    dated.product_id,
    dated.user_id,
    dated.purchased_on,
    dated.valid_from,
    case
        when dated.is_deleted then greatest(dated.ended_on, dated.valid_from)
        else lead(dated.valid_from) over (partition by dated.purchase_id order by dated.version)
    end as valid_until,
    dated.ended_on is null as is_current,
    dated.is_deleted,
    dated.first_seen_on,
    coalesce(dated.last_seen_on, newest_snapshot.snapshot_date) as last_seen_on
from dated
cross join newest_snapshot
