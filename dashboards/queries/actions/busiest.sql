select
    rank,
    window_start,
    window_end,
    opens,
    closes
from marts.rpt_busiest_open_windows
order by rank
