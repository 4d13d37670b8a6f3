with

hourly_plays as (
    select
        *,
        cast(extract(dow from play_date) as integer) as weekday  -- noqa: RF04
    from {{ ref('int_music__hourly_plays') }}
)

select
    weekday,
    hour,
    cast(sum(plays) as bigint) as plays,
    count(distinct user_id) as listeners
from hourly_plays
group by weekday, hour
