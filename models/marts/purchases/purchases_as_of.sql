{{ config(
    materialized='table_function',
    parameters='day',
) }}

with

versions as (
    select * from {{ ref('fct_purchase_versions') }}
)

select
    purchase_id,
    version,
    product_id,
    user_id,
    purchased_on,
    valid_from,
    valid_until,
    is_current,
    is_deleted,
    first_seen_on,
    last_seen_on
from versions
where
    valid_from <= day
    and (valid_until is null or day < valid_until)
