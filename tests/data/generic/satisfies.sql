{#- For every value, a condition on its row holds; no value is no breach. -#}
{% test satisfies(model, column_name, condition, otherwise) %}
    select {{ column_name }}
    from {{ model }}
    where {{ column_name }} is not null and not coalesce(({{ condition }}), false)
{% endtest %}
