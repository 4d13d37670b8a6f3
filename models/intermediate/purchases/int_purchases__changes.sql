{#- A snapshot is compared with the one before it: one that was loaded or taken back concerns its
    own rows and those of the one after it, as the list of snapshots is now. In that list the day
    is called `date`, so that `snapshot_date` is the day of what was loaded. -#}
{%- set next_snapshot_date %}
(
    select min("date")
    from (select distinct snapshot_date as "date" from {source}) as snapshots
    where "date" > snapshot_date
)
{%- endset -%}

{{ config(
    materialized='incremental',
    incremental_strategy='touched',
    on_schema_change='fail',
    unique_key=['snapshot_date', 'purchase_id'],
    meta={
        'touched_by': 'snapshot_date',
        'follows': [
            {
                'source': 'purchases',
                'keys': ['unnest([snapshot_date, ' ~ next_snapshot_date ~ ']) as snapshot_date'],
            },
        ],
    },
) }}

with

snapshots as (
    select
        snapshot_date,
        lag(snapshot_date) over (order by snapshot_date) as previous_snapshot_date
    from {{ ref('stg_purchases__purchases') }}
    group by snapshot_date
),

compared_snapshots as (
    select *
    from snapshots
    {% if is_incremental() %}
    where {{ is_touched('snapshots') }}
    {% endif %}
),

purchases as (
    select * from {{ ref('stg_purchases__purchases') }}
    {% if is_incremental() %}
    where
        snapshot_date in (
            select snapshot_date from compared_snapshots
            union all
            select previous_snapshot_date from compared_snapshots
        )
    {% endif %}
),

-- A purchase that a snapshot has twice is decided by its values alone: the order of loads and
-- lines says nothing about which of them is true.
ranked as (
    select
        *,
        row_number() over (
            partition by snapshot_date, purchase_id
            order by purchased_on desc, product_id desc, user_id desc
        ) as value_rank
    from purchases
),

snapshot_rows as (
    select * from ranked
    where value_rank = 1
),

rows_before as (
    select
        compared_snapshots.snapshot_date,
        snapshot_rows.purchase_id,
        snapshot_rows.product_id,
        snapshot_rows.user_id,
        snapshot_rows.purchased_on
    from snapshot_rows
    inner join compared_snapshots
        on snapshot_rows.snapshot_date = compared_snapshots.previous_snapshot_date
)

select
    compared_snapshots.snapshot_date,
    compared_snapshots.previous_snapshot_date,
    coalesce(snapshot_rows.purchase_id, rows_before.purchase_id) as purchase_id,
    snapshot_rows.product_id,
    snapshot_rows.user_id,
    snapshot_rows.purchased_on,
    snapshot_rows.purchase_id is null as is_missing
from snapshot_rows
full outer join rows_before
    on
        snapshot_rows.snapshot_date = rows_before.snapshot_date
        and snapshot_rows.purchase_id = rows_before.purchase_id
inner join compared_snapshots
    on
        coalesce(snapshot_rows.snapshot_date, rows_before.snapshot_date)
        = compared_snapshots.snapshot_date
where
    row(snapshot_rows.product_id, snapshot_rows.user_id, snapshot_rows.purchased_on)
    is distinct from row(rows_before.product_id, rows_before.user_id, rows_before.purchased_on)
