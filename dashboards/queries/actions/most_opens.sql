select
    rank,
    window_start,
    opens,
    closes
from marts.rpt_busiest_open_windows
order by rank
