{{ config(materialized='incremental', incremental_strategy='touched', unique_key='ordered_on') }}

select
    ordered_on,
    count(*) as orders,
    cast(sum(paid_cents) as bigint) as paid_cents
from {{ ref('fct_orders') }}
group by ordered_on
