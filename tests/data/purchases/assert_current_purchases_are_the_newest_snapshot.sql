-- The changes of each snapshot are kept from build to build, and the versions told from them. The
-- newest snapshot, read from raw, says what they must have come to: any step that went wrong on
-- the way shows here.
with

newest as (
    select * from {{ ref('stg_purchases__purchases') }}
    where
        snapshot_date = (
            select max(listed.snapshot_date)
            from {{ ref('stg_purchases__purchases') }} as listed
        )
),

snapshot_rows as (
    select
        *,
        row_number() over (
            partition by purchase_id
            order by purchased_on desc, product_id desc, user_id desc
        ) as value_rank
    from newest
),

snapshot as (
    select * from snapshot_rows
    where value_rank = 1
),

purchases as (
    select * from {{ ref('fct_purchases') }}
)

select
    snapshot.purchase_id as purchase_id_in_snapshot,
    purchases.purchase_id as purchase_id_in_mart
from snapshot
full outer join purchases
    on
        snapshot.purchase_id = purchases.purchase_id
        and snapshot.product_id = purchases.product_id
        and snapshot.user_id = purchases.user_id
        and snapshot.purchased_on = purchases.purchased_on
where snapshot.purchase_id is null or purchases.purchase_id is null
