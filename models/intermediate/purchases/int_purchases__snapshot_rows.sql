with

purchases as (
    select * from {{ ref('stg_purchases__purchases') }}
),

-- A purchase that a snapshot has twice is decided by its values alone: the order of loads and
-- lines says nothing about which of them is true.
ranked as (
    select
        snapshot_date,
        purchase_id,
        product_id,
        user_id,
        purchased_on,
        row_number() over (
            partition by snapshot_date, purchase_id
            order by purchased_on desc, product_id desc, user_id desc
        ) as value_rank
    from purchases
)

select
    snapshot_date,
    purchase_id,
    product_id,
    user_id,
    purchased_on
from ranked
where value_rank = 1
