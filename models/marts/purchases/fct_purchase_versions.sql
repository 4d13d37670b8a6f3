{{ config(
    materialized='incremental',
    incremental_strategy='delete+insert',
    unique_key=['purchase_id', 'version'],
    on_schema_change='fail',
    pre_hook="
        {%- if is_incremental() -%}
            delete from {{ this }} where first_seen_on >= {{ changed_snapshots()['first'] }}
        {%- endif -%}
    ",
) }}

{%- set changed = changed_snapshots() if is_incremental() %}

with

snapshot_rows as (
    select
        snapshot_date,
        purchase_id,
        product_id,
        user_id,
        purchased_on
    from {{ ref('int_purchases__snapshot_rows') }}
    {% if is_incremental() %}
    where snapshot_date >= {{ changed["first"] }}
    {% endif %}
),

{% if is_incremental() %}
-- The last version of each purchase as it stood before the first changed snapshot. A version is
-- in every snapshot from its first to its last, so that one which reaches further was in the
-- previous snapshot too, and nothing else in it depends on later snapshots.
versions_before as (
    select
        purchase_id,
        version,
        product_id,
        user_id,
        purchased_on,
        valid_from,
        first_seen_on,
        least(last_seen_on, {{ changed["previous"] }}) as last_seen_on,
        row_number() over (partition by purchase_id order by version desc) as age_rank
    from {{ this }}
    where first_seen_on < {{ changed["first"] }}
),

seeds as (
    select *
    from versions_before
    where age_rank = 1
),
{% endif %}

snapshot_dates as (
    select distinct snapshot_date
    from snapshot_rows
    {% if is_incremental() %}
    union all
    select {{ changed["previous"] }} as snapshot_date
    {% endif %}
),

snapshots as (
    select
        snapshot_date,
        lag(snapshot_date) over (order by snapshot_date) as previous_snapshot_date,
        lead(snapshot_date) over (order by snapshot_date) as next_snapshot_date
    from snapshot_dates
    where snapshot_date is not null
),

sightings as (
    select
        snapshot_rows.*,
        snapshots.previous_snapshot_date,
        snapshot_rows.snapshot_date as first_seen_on,
        cast(null as integer) as seed_version,
        cast(null as date) as seed_valid_from
    from snapshot_rows
    inner join snapshots on snapshot_rows.snapshot_date = snapshots.snapshot_date
    {% if is_incremental() %}
    union all
    select
        last_seen_on as snapshot_date,
        purchase_id,
        product_id,
        user_id,
        purchased_on,
        cast(null as date) as previous_snapshot_date,
        first_seen_on,
        version as seed_version,
        valid_from as seed_valid_from
    from seeds
    {% endif %}
),

compared as (
    select
        *,
        lag(snapshot_date) over sightings_so_far as compared_date,
        lag(product_id) over sightings_so_far as compared_product_id,
        lag(user_id) over sightings_so_far as compared_user_id,
        lag(purchased_on) over sightings_so_far as compared_purchased_on
    from sightings
    window sightings_so_far as (partition by purchase_id order by snapshot_date)
),

starts_flagged as (
    select
        *,
        compared_date != previous_snapshot_date as is_return,
        compared_date is null
        or compared_date != previous_snapshot_date
        or compared_product_id != product_id
        or compared_user_id != user_id
        or compared_purchased_on != purchased_on as is_start
    from compared
),

-- The lint rule is off for a name that the mart has promised.
numbered as (
    select
        *,
        cast(
            coalesce(max(seed_version) over (partition by purchase_id), 1) - 1
            + count(*) filter (where is_start) over (
                partition by purchase_id
                order by snapshot_date
                rows between unbounded preceding and current row
            ) as integer
        ) as version -- noqa: RF04
    from starts_flagged
),

versions as (
    select
        purchase_id,
        version,
        product_id,
        user_id,
        purchased_on,
        coalesce(bool_or(is_return), false) as is_return,
        min(first_seen_on) as first_seen_on,
        max(snapshot_date) as last_seen_on,
        max(seed_valid_from) as seed_valid_from
    from numbered
    group by purchase_id, version, product_id, user_id, purchased_on
),

-- Where a version starts depends on where the one before it started, which seems to call for a
-- recursion. But no version starts before the latest date so far (returns aside, whose date does
-- not count), and none after the later of that date and its own snapshot: each starts on one of
-- these two days.
start_days as (
    select
        *,
        max(case when not is_return then coalesce(seed_valid_from, purchased_on) end) over (
            partition by purchase_id
            order by version
            rows between unbounded preceding and current row
        ) as latest_date
    from versions
),

start_days_compared as (
    select
        *,
        lag(latest_date) over (partition by purchase_id order by version) as latest_date_before,
        lag(first_seen_on) over (partition by purchase_id order by version) as first_seen_before
    from start_days
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
    from start_days_compared
),

starts_grouped as (
    select
        *,
        count(is_from_date) over (
            partition by purchase_id
            order by version
            rows between unbounded preceding and current row
        ) as decision
    from starts_decided
),

dated as (
    select
        *,
        case
            when bool_or(is_from_date) over (partition by purchase_id, decision) then latest_date
            else first_seen_on
        end as valid_from
    from starts_grouped
),

followed as (
    select
        *,
        lead(valid_from) over (partition by purchase_id order by version) as next_valid_from,
        lead(is_return) over (partition by purchase_id order by version) as is_next_return
    from dated
),

-- Seeds that were deleted earlier than the previous snapshot have no partner here, and so stay as
-- they are; without any changed snapshot, none has.
ended as (
    select
        followed.*,
        snapshots.next_snapshot_date as missing_on,
        coalesce(followed.is_next_return, snapshots.next_snapshot_date is not null) as is_deleted
    from followed
    inner join snapshots on followed.last_seen_on = snapshots.snapshot_date
)

select
    purchase_id,
    version,
    product_id,
    user_id,
    purchased_on,
    valid_from,
    case
        when is_deleted then greatest(missing_on, valid_from)
        else next_valid_from
    end as valid_until,
    missing_on is null as is_current,
    is_deleted,
    first_seen_on,
    last_seen_on
from ended
