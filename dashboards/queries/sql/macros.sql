select name
from meta.contents
where definition is not null
order by name
