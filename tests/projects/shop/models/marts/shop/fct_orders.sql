{{ config(materialized='incremental', incremental_strategy='touched', unique_key='order_id') }}

with

orders as (
    select
        *,
        row_number() over (
            partition by order_id
            order by updated_at desc, _load_id desc, _row desc
        ) as recency_rank
    from {{ ref('stg_shop__orders') }}
),

-- A payment may be delivered twice.
payments as (
    select distinct
        payment_id,
        order_id,
        cents
    from {{ ref('stg_shop__payments') }}
),

paid as (
    select
        order_id,
        sum(cents) as cents
    from payments
    group by order_id
)

select
    orders.order_id,
    orders.customer_id,
    orders.ordered_on,
    orders.status,
    orders.updated_at,
    cast(coalesce(paid.cents, 0) as bigint) as paid_cents
from orders
left join paid on orders.order_id = paid.order_id
where orders.recency_rank = 1
