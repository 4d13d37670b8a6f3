-- How many sessions were there?
select count(*) as sessions
from {{ ref('fct_sessions') }}
