{#- As `unique`, for a table that follows a source by its key: looks at the keys that loads brought
    or took back since the last green build, as no other row can have changed. Of 5 million rows
    that takes a third of the time of `unique`. -#}
{% test unique_among_new(model, column_name, source_name) %}
    with

    new_keys as (
        select {{ column_name }}
        from {{ source('raw', source_name) }}
        where _load_id > {{ tested_load() }}
        union
        select {{ column_name }}
        from {{ replaced(source_name) }}
        where _replaced_by > {{ tested_load() }}
    )

    select
        {{ column_name }},
        count(*) as row_count
    from {{ model }}
    where {{ column_name }} in (select {{ column_name }} from new_keys)
    group by {{ column_name }}
    having count(*) > 1
{% endtest %}
