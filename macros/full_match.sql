{#- True when the whole of a text matches a regular expression. -#}
{% macro full_match(column, pattern) %}
    {{ return(adapter.dispatch("full_match")(column, pattern)) }}
{% endmacro %}


{% macro default__full_match(column, pattern) %}
    regexp_like({{ column }}, '^(?:{{ pattern }})$')
{% endmacro %}


{% macro duckdb__full_match(column, pattern) %}
    regexp_full_match({{ column }}, '{{ pattern }}')
{% endmacro %}
