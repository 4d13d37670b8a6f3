select
    columns.schema_name || '.' || columns.table_name as table_name,
    tables.comment as about,
    columns.column_name,
    lower(columns.data_type) as data_type,
    columns.comment as description
from duckdb_columns() as columns
inner join duckdb_tables() as tables on columns.table_oid = tables.table_oid
where columns.schema_name in ('marts', 'meta')
order by columns.schema_name, columns.table_name, columns.column_index
