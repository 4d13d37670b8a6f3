{#- A snapshot keeps what cannot be made again: when its input lacked rows (--empty, --sample), what
    is missing has not been deleted, and its history stays as it is. -#}
{% macro duckdb__snapshot_merge_sql(target, source, insert_cols) %}
    {{ return("select 1 where false" if is_cut() else dbt.duckdb__snapshot_merge_sql(target, source, insert_cols)) }}
{% endmacro %}
