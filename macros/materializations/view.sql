{#- A view whose query is the same stays as it is. DuckLake reads its whole schema anew after each
    change in it, and keeps every version of a view. The query is bound again all the same: one
    that its parents no longer allow fails here, as it would when the view was made. -#}
{% materialization view, adapter="duckdb" %}
    {%- set existing = load_cached_relation(this) -%}
    {%- if not (can_stay(existing, "view") and is_query_of(existing, sql)) -%}
        {{ return(dbt.materialization_view_default()) }}
    {%- endif -%}
    {%- if config.get("contract").enforced -%}
        {%- do get_assert_columns_equivalent(sql) -%}
    {%- endif -%}
    {{ run_hooks(pre_hooks, inside_transaction=False) }}
    {{ run_hooks(pre_hooks, inside_transaction=True) }}
    {%- call noop_statement("main", message="OK", code="OK") -%}
        {{ sql }}
    {%- endcall -%}
    {{ run_hooks(post_hooks, inside_transaction=True) }}
    {{ adapter.commit() }}
    {{ run_hooks(post_hooks, inside_transaction=False) }}
    {{ return({"relations": [existing]}) }}
{% endmaterialization %}


{#- Whether a relation is one of the lake's, of this type, nothing is asked of it that only making
    it anew would do, and no build that was killed has left another one to be cleared away. -#}
{% macro can_stay(existing, type) %}
    {{ return(
        existing is not none and existing.type == type and adapter.is_ducklake(existing)
        and not should_full_refresh() and not pre_hooks and not config.get("sql_header")
        and not config.persist_relation_docs() and not config.persist_column_docs()
        and load_cached_relation(make_backup_relation(existing, type)) is none
        and load_cached_relation(make_intermediate_relation(existing)) is none
    ) }}
{% endmacro %}


{#- Whether a view says what a new one with this query would say. -#}
{% macro is_query_of(view, sql) %}
    {%- do run_query("create or replace temporary view boathouse_asked as (" ~ sql ~ "\n)") -%}
    {%- set queries = run_query(
        "select count(distinct regexp_replace(sql, '^CREATE (TEMP |TEMPORARY )?VIEW [^(]*? AS ', '')), "
        ~ "count(*) from duckdb_views() "
        ~ "where (database_name = 'temp' and view_name = 'boathouse_asked') or ("
        ~ "lower(database_name) = " ~ sql_text(view.database | lower)
        ~ " and lower(schema_name) = " ~ sql_text(view.schema | lower)
        ~ " and lower(view_name) = " ~ sql_text(view.identifier | lower) ~ ")"
    ) -%}
    {%- do run_query("drop view if exists temp.boathouse_asked") -%}
    {{ return(queries.rows[0][0] == 1 and queries.rows[0][1] == 2) }}
{% endmacro %}
