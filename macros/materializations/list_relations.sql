{#- What is in a schema of the lake, from DuckLake's own tables: `information_schema` asks for the
    statistics of every table and binds every view. -#}
{% macro duckdb__list_relations_without_caching(schema_relation) %}
    {%- if not adapter.is_ducklake(schema_relation) -%}
        {{ return(dbt.duckdb__list_relations_without_caching(schema_relation)) }}
    {%- endif -%}
    {%- set metadata = catalog_of(schema_relation) -%}
    {%- call statement("list_relations_without_caching", fetch_result=True) -%}
        with relations as (
            select schema_id, table_name as name, 'table' as type
            from {{ metadata }}.ducklake_table
            where end_snapshot is null
            union all
            select schema_id, view_name as name, 'view' as type
            from {{ metadata }}.ducklake_view
            where end_snapshot is null
        )

        select
            '{{ schema_relation.database }}' as database,
            relations.name,
            schemas.schema_name as schema,
            relations.type
        from relations
        inner join {{ metadata }}.ducklake_schema as schemas
            on relations.schema_id = schemas.schema_id and schemas.end_snapshot is null
        where lower(schemas.schema_name) = {{ sql_text(schema_relation.schema | lower) }}
    {%- endcall -%}
    {{ return(load_result("list_relations_without_caching").table) }}
{% endmacro %}


{#- The name under which DuckLake attaches the catalogue of a relation's lake. -#}
{% macro catalog_of(relation) %}
    {{ return(adapter.quote("__ducklake_metadata_" ~ relation.database)) }}
{% endmacro %}
