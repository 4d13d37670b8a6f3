with

windows as (
    select * from {{ ref('fct_action_windows') }}
),

windows_ranked as (
    select
        window_start,
        window_end,
        opens,
        closes,
        row_number() over (order by opens desc, window_start asc) as place
    from windows
)

select
    -- A keyword, but the name is what readers know the column by.
    cast(place as integer) as rank,  -- noqa: RF04
    window_start,
    window_end,
    opens,
    closes
from windows_ranked
where place <= 10
