{#- From where on this model must tell the history of purchases again, as dates in SQL: `first`, the
    earliest snapshot with rows that were loaded or taken back since it last ran (beyond all if
    there is none), and `previous`, the snapshot before it (null if there is none). What the model
    says of snapshots before `first` still holds. -#}
{% macro changed_snapshots() %}
    {%- set load_id = following().get("load_id", 0) -%}
    {%- set changed -%}
        select min(snapshot_date)
        from (
            select snapshot_date from lake.raw.purchases where _load_id > {{ load_id }}
            union all
            select snapshot_date from lake.replaced.purchases where _replaced_by > {{ load_id }}
        ) as changed
    {%- endset -%}
    {%- set first = run_query(changed).rows[0][0] if execute -%}
    {%- if not first -%}
        {{ return({"first": "date '9999-12-31'", "previous": "cast(null as date)"}) }}
    {%- endif -%}
    {%- set previous = run_query("select max(last_seen_on) from " ~ this).rows[0][0] -%}
    {%- if previous and previous >= first -%}
        {%- set earlier -%}
            select max(snapshot_date)
            from lake.raw.purchases
            where snapshot_date < date '{{ first }}'
        {%- endset -%}
        {%- set previous = run_query(earlier).rows[0][0] -%}
    {%- endif -%}
    {%- set previous_date = "date '" ~ previous ~ "'" if previous else "cast(null as date)" -%}
    {{ return({"first": "date '" ~ first ~ "'", "previous": previous_date}) }}
{% endmacro %}
