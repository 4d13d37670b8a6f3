with

purchases as (
    select
        purchased_on,
        count(*) as purchases,
        count(distinct user_id) as buyers
    from {{ ref('fct_purchases') }}
    group by purchased_on
),

starts as (
    select
        valid_from as purchased_on,
        count(*) as new_versions
    from {{ ref('fct_purchase_versions') }}
    group by valid_from
),

deletions as (
    select
        valid_until as purchased_on,
        count(*) as deletions
    from {{ ref('fct_purchase_versions') }}
    where is_deleted
    group by valid_until
),

days as (
    select purchased_on from purchases
    union distinct
    select purchased_on from starts
    union distinct
    select purchased_on from deletions
)

select
    days.purchased_on,
    coalesce(purchases.purchases, 0) as purchases,
    coalesce(purchases.buyers, 0) as buyers,
    coalesce(starts.new_versions, 0) as new_versions,
    coalesce(deletions.deletions, 0) as deletions
from days
left join purchases on days.purchased_on = purchases.purchased_on
left join starts on days.purchased_on = starts.purchased_on
left join deletions on days.purchased_on = deletions.purchased_on
