-- The versions are carried on from build to build. The newest snapshot, read from raw, says what
-- they must have come to: any step that went wrong on the way shows here.
with

snapshot_rows as (
    select * from {{ ref('int_purchases__snapshot_rows') }}
    where
        snapshot_date = (
            select max(listed.snapshot_date)
            from {{ ref('stg_purchases__purchases') }} as listed
        )
),

purchases as (
    select * from {{ ref('fct_purchases') }}
)

select
    snapshot_rows.purchase_id as purchase_id_in_snapshot,
    purchases.purchase_id as purchase_id_in_mart
from snapshot_rows
full outer join purchases
    on
        snapshot_rows.purchase_id = purchases.purchase_id
        and snapshot_rows.product_id = purchases.product_id
        and snapshot_rows.user_id = purchases.user_id
        and snapshot_rows.purchased_on = purchases.purchased_on
where snapshot_rows.purchase_id is null or purchases.purchase_id is null
