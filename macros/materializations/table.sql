{#- A small table is filled again where dbt would make another one, and not touched at all when its
    rows are what they were: a change of the schema costs DuckLake more than some thousand rows, in
    this transaction and in the next one, and who reads the table sees that nothing has happened. -#}
{% materialization table, adapter="duckdb", supported_languages=["sql", "python"] %}
    {%- set existing = load_cached_relation(this) -%}
    {%- if not (model.language == "sql" and can_stay(existing, "table") and has_shape(existing, sql)) -%}
        {{ return(dbt.materialization_table_duckdb()) }}
    {%- endif -%}
    {%- set rows = make_temp_relation(this) -%}
    {{ run_hooks(pre_hooks, inside_transaction=False) }}
    {{ run_hooks(pre_hooks, inside_transaction=True) }}
    {%- call statement("rows") -%}
        {{ create_table_as(True, rows, sql) }}
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
    would have, and nothing that says how its files are laid out. -#}
{% macro has_shape(table, sql) %}
    {%- for layout in ("partitioned_by", "partition_by", "sorted_by", "sort_by", "indexes") -%}
        {%- if config.get(layout) -%}
            {{ return(false) }}
        {%- endif -%}
    {%- endfor -%}
    {%- set wanted = "(" ~ sql ~ "\n)" -%}
    {%- if config.get("contract").enforced -%}
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
    {%- endcall -%}
    {{ return(load_result("has_shape").table.rows[0][0]) }}
{% endmacro %}


{#- Whether a table has just the rows of another one. As text too, since equal is not the same:
    0.0 and -0.0 are equal, 30 days and a month. -#}
{% macro has_rows_of(table, other) %}
    {%- set (old, new) = ("select *, columns(*)::varchar from " ~ table, "select *, columns(*)::varchar from " ~ other) -%}
    {%- call statement("differences", fetch_result=True) -%}
        ({{ old }} except all {{ new }}) union all ({{ new }} except all {{ old }}) limit 1
    {%- endcall -%}
    {{ return(not load_result("differences").table.rows) }}
{% endmacro %}
