-- In which ten windows was most opened?
select
    rank,
    window_start,
    window_end,
    opens,
    closes
from {{ ref('rpt_busiest_open_windows') }}
order by rank
