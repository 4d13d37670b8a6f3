select
    name,
    rows as row_count,
    columns,
    definition
from meta.contents
where schema_name = 'marts'
order by name
