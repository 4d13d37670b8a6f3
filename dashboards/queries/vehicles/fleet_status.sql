select
    coalesce(status, '(unknown)') as status,
    count(*) as vehicles
from marts.dim_vehicles
where
    len($statuses::varchar[]) = 0
    or list_contains($statuses::varchar[], coalesce(status, '(unknown)'))
group by all
order by vehicles desc, status
