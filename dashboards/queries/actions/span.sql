select
    cast(min(window_start) as date) as low,
    cast(max(window_start) as date) as high
from marts.fct_action_windows
