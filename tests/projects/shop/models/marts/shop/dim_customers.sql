{{ config(materialized='incremental', incremental_strategy='touched', unique_key='customer_id') }}

with

customers as (
    select
        customer_id,
        max_by(name, (_load_id, _row)) as name
    from {{ ref('stg_shop__customers') }}
    group by customer_id
),

orders as (
    select
        customer_id,
        min(ordered_on) as first_ordered_on,
        count(*) as orders,
        sum(paid_cents) as paid_cents
    from {{ ref('fct_orders') }}
    group by customer_id
)

select
    coalesce(customers.customer_id, orders.customer_id) as customer_id,
    customers.name,
    orders.first_ordered_on,
    coalesce(orders.orders, 0) as orders,
    cast(coalesce(orders.paid_cents, 0) as bigint) as paid_cents
from customers
full join orders on customers.customer_id = orders.customer_id
