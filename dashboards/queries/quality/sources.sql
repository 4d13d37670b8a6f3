select distinct source
from meta.loads
order by source
