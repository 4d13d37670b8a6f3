{#- A small table is filled again where dbt would make another one, and not touched at all when its
    rows are what they were: a change of the schema costs DuckLake more than some thousand rows, in
    this transaction and in the next one, and who reads the table sees that nothing has happened. -#}
{% materialization table, adapter="duckdb", supported_languages=["sql", "python"] %}
    {%- set existing = load_cached_relation(this) -%}
    {%- if not (model.language == "sql" and can_stay(existing, "table") and has_shape(existing, sql)) -%}
        {{ return(dbt.materialization_table_duckdb()) }}
    {%- endif -%}
    {%- set rows = make_temp_relation(this) -%}
    {#- With a contract the table has its columns in the contract's order. -#}
    {%- set query = get_select_subquery(sql) if config.get("contract").enforced else sql -%}
    {{ run_hooks(pre_hooks, inside_transaction=False) }}
    {{ run_hooks(pre_hooks, inside_transaction=True) }}
    {%- call statement("rows") -%}
        {{ create_table_as(True, rows, query) }}
    {%- endcall -%}
    {%- if has_rows_of(existing, rows) -%}
        {%- call noop_statement("main", message="OK", code="OK") -%}
            {{ sql }}
        {%- endcall -%}
    {%- else -%}
        {%- call statement("main") -%}
            delete from {{ existing }};
            insert into {{ existing }} by name from {{ rows }}
        {%- endcall -%}
    {%- endif -%}
    {%- do run_query("drop table " ~ rows) -%}
    {{ run_hooks(post_hooks, inside_transaction=True) }}
    {{ adapter.commit() }}
    {{ run_hooks(post_hooks, inside_transaction=False) }}
    {{ return({"relations": [existing]}) }}
{% endmaterialization %}


{#- Whether a table is small, has the columns, types and constraints that one made of this query
    would have, and its files are laid out in no way of their own, neither now nor then. -#}
{% macro has_shape(table, sql) %}
    {%- for layout in ("partitioned_by", "partition_by", "sorted_by", "sort_by", "indexes") -%}
        {%- if config.get(layout) -%}
            {{ return(false) }}
        {%- endif -%}
    {%- endfor -%}
    {%- set wanted = "(" ~ sql ~ "\n)" -%}
    {%- if config.get("contract").enforced -%}
        {%- if has_other_constraints() -%}
            {{ return(false) }}
        {%- endif -%}
        {%- set wanted = "temp.boathouse_shape" -%}
        {%- call statement("shape") -%}
            create or replace temporary table boathouse_shape {{ get_table_columns_and_constraints() }}
        {%- endcall -%}
    {%- endif -%}
    {%- set columns = "select list([column_name, column_type, \"null\"]) from (describe " -%}
    {%- call statement("has_shape", fetch_result=True) -%}
        select
            (select count(*) from (from {{ table }} limit 10001)) <= 10000
            and ({{ columns }} {{ table }})) = ({{ columns }} {{ wanted }}))
            and not exists ({{ layout_of(table) }})
    {%- endcall -%}
    {{ return(load_result("has_shape").table.rows[0][0]) }}
{% endmacro %}


{#- Whether the model has a constraint that the description of a table does not show. -#}
{% macro has_other_constraints() %}
    {%- set all = model.constraints + model.columns.values() | map(attribute="constraints") | sum(start=[]) -%}
    {{ return(all | rejectattr("type", "equalto", "not_null") | list | length > 0) }}
{% endmacro %}


{#- A query that has a row when the files of a table are partitioned or sorted. -#}
{% macro layout_of(table) %}
    {%- set metadata = catalog_of(table) -%}
    select 1
    from (
        select table_id from {{ metadata }}.ducklake_partition_info where end_snapshot is null
        union all
        select table_id from {{ metadata }}.ducklake_sort_info where end_snapshot is null
    ) as layouts
    inner join {{ metadata }}.ducklake_table as tables
        on layouts.table_id = tables.table_id and tables.end_snapshot is null
    inner join {{ metadata }}.ducklake_schema as schemas
        on tables.schema_id = schemas.schema_id and schemas.end_snapshot is null
    where
        lower(schemas.schema_name) = {{ sql_text(table.schema | lower) }}
        and lower(tables.table_name) = {{ sql_text(table.identifier | lower) }}
{% endmacro %}


{#- Whether a table has just the rows of another one. As text too, since equal is not the same:
    0.0 and -0.0 are equal, 30 days and a month. -#}
{% macro has_rows_of(table, other) %}
    {%- call statement("counts", fetch_result=True) -%}
        select (select count(*) from {{ table }}) = (select count(*) from {{ other }})
    {%- endcall -%}
    {%- if not load_result("counts").table.rows[0][0] -%}
        {{ return(false) }}
    {%- endif -%}
    {%- set (old, new) = ("select *, columns(*)::varchar from " ~ table, "select *, columns(*)::varchar from " ~ other) -%}
    {%- call statement("differences", fetch_result=True) -%}
        ({{ old }} except all {{ new }}) union all ({{ new }} except all {{ old }}) limit 1
    {%- endcall -%}
    {{ return(not load_result("differences").table.rows) }}
{% endmacro %}
