with

snapshots as (
    select distinct snapshot_date
    from {{ ref('stg_purchases__purchases') }}
)

select
    snapshot_date,
    lag(snapshot_date) over (order by snapshot_date) as previous_snapshot_date
from snapshots
