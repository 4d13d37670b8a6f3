select distinct level
from marts.fct_songplays
where level is not null
order by level
