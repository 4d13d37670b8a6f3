-- A car's status is kept, not looked for among all reports at each build: one that was missed, or
-- taken back, would stay or stay away for ever.
with

reports as (
    select
        vehicle_id,
        max((reported_at, status)) as latest
    from {{ ref('stg_vehicles__statuses') }}
    group by vehicle_id
),

vehicles as (
    select
        vehicle_id,
        (status_reported_at, status) as latest
    from {{ ref('dim_vehicles') }}
    where status_reported_at is not null
)

select
    coalesce(reports.vehicle_id, vehicles.vehicle_id) as vehicle_id,
    reports.latest as latest_report,
    vehicles.latest as latest_known
from reports
full outer join vehicles on reports.vehicle_id = vehicles.vehicle_id
where reports.latest is distinct from vehicles.latest
