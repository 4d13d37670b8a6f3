{#- What a data test looks at, in place of dbt's own macro: of a raw table, only the rows that no
    green build has tested yet. The others passed, and cannot have changed. -#}
{% macro get_where_subquery(relation) %}
    {%- set conditions = [config.get("where")] if config.get("where") else [] -%}
    {%- if relation.schema == "raw" -%}
        {%- do conditions.append("_load_id > " ~ tested_load()) -%}
    {%- endif -%}
    {%- if conditions | length == 0 -%}
        {{ return(relation) }}
    {%- endif -%}
    {{ return("(select * from " ~ relation ~ " where (" ~ conditions | join(") and (") ~ ")) as tested") }}
{% endmacro %}


{#- The newest load whose rows a green build has tested, or 0 when all are to be tested: `boathouse
    run` sets the variable, a build of everything and one typed by hand do not. -#}
{% macro tested_load() %}
    {{- return("coalesce(getvariable('boathouse_tested_load'), 0)") -}}
{% endmacro %}
