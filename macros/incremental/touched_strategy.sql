{#- Incremental strategy `touched`: delete every touched key, insert what the query returned.
    Unlike delete+insert it also removes keys that no longer have a row. With
    `config.meta.tracks`, the old and new values of those columns are noted in
    lake.changes.<model> in the same transaction, for models that follow this one: how many rows
    with these values came, less those that went (`_change`). A row that stayed is noted as well,
    with 0: a column that is not tracked may have changed. -#}
{% macro get_incremental_touched_sql(arg_dict) %}
    {%- set target = arg_dict["target_relation"] -%}
    {%- set new_rows = arg_dict["temp_relation"] -%}
    {%- set columns = get_quoted_csv(arg_dict["dest_columns"] | map(attribute="name")) -%}
    {%- set tracks = (config.get("meta") or {}).get("tracks") -%}
    {%- if tracks %}
        insert into lake.changes.{{ target.identifier }}
        select {{ tracks | join(", ") }}, cast(sum(change) as bigint) as _change, {{ lake_snapshot() }} as _lake_snapshot
        from (
            select {{ tracks | join(", ") }}, -1 as change
            from {{ target }}
            where {{ is_touched_row(target) }}
            union all
            select {{ tracks | join(", ") }}, 1 as change
            from {{ new_rows }}
        ) as old_and_new
        group by {{ tracks | join(", ") }};
    {%- endif %}

    delete from {{ target }} where {{ is_touched_row(target) }};

    insert into {{ target }} ({{ columns }})
    select {{ columns }} from {{ new_rows }}
{% endmacro %}


{#- Post-hook of every incremental model, in its transaction: note how far it has followed. -#}
{% macro remember_progress() %}
    {%- if config.get("materialized") == "incremental" and execute -%}
        {%- set progress = model_progress(this.identifier) -%}
        {%- set rebuilt = progress["rebuilt_snapshot"] if is_incremental() else lake_snapshot() -%}
        {%- set tracks = (config.get("meta") or {}).get("tracks") -%}
        {%- if tracks and not is_incremental() %}
        create or replace table lake.changes.{{ this.identifier }} as
        select {{ tracks | join(", ") }}, cast(0 as bigint) as _change, cast(0 as bigint) as _lake_snapshot
        from {{ this }}
        limit 0;
        {%- endif %}
        delete from lake.meta.model_state where model = '{{ this.identifier }}';
        insert into lake.meta.model_state
        select '{{ this.identifier }}', coalesce(max(load_id), 0), {{ lake_snapshot() }}, {{ rebuilt }}
        from lake.meta.loads
    {%- endif -%}
{% endmacro %}


{#- The snapshot that the open transaction builds on; its own commit will be a later one. -#}
{% macro lake_snapshot() %}
    {%- if execute -%}
        {{ return(run_query("select id from ducklake_current_snapshot('lake') as newest (id)").rows[0][0]) }}
    {%- endif -%}
    {{ return(0) }}
{% endmacro %}
