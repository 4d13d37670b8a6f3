{#- No two rows have the same values in all of the columns; nulls count as equal. -#}
{% test unique_combination(model, columns) %}
    select
        {{ columns | join(", ") }},
        count(*) as row_count
    from {{ model }}
    group by {{ columns | join(", ") }}
    having count(*) > 1
{% endtest %}
