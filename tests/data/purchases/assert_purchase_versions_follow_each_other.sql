-- A purchase is in one state on a day. If two versions overlapped, `purchases_as_of` would return
-- it twice; if the numbers had holes or the days ran backwards, an incremental build would have
-- gone on from the wrong version.
with

versions as (
    select * from {{ ref('fct_purchase_versions') }}
),

compared as (
    select
        purchase_id,
        version,
        valid_from,
        lag(version) over (partition by purchase_id order by version) as previous_version,
        lag(valid_until) over (partition by purchase_id order by version) as previous_valid_until,
        lag(last_seen_on) over (partition by purchase_id order by version) as previous_last_seen_on,
        first_seen_on
    from versions
)

select *
from compared
where
    version != coalesce(previous_version, 0) + 1
    or (
        previous_version is not null
        and (
            previous_valid_until is null
            or valid_from < previous_valid_until
            or first_seen_on <= previous_last_seen_on
        )
    )
