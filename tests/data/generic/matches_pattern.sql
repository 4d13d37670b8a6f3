{#- The whole of every value matches a regular expression; no value is no breach. -#}
{% test matches_pattern(model, column_name, pattern) %}
    select {{ column_name }}
    from {{ model }}
    where not {{ full_match(column_name, pattern) }}
{% endtest %}
