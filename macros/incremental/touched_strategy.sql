{#- Incremental strategy `touched`: delete every touched key, insert the rows that the query
    returned for them, and no others. Unlike delete+insert it also removes keys that no longer have
    a row. Old and new values of the columns that others follow are noted in the same transaction:
    how many rows with these values came, less those that went (`_change`). A row that stayed is
    noted as well, with 0: a column that nobody follows by may have changed. -#}
{% macro get_incremental_touched_sql(arg_dict) %}
    {%- set target = arg_dict["target_relation"] -%}
    {%- set new_rows = arg_dict["temp_relation"] -%}
    {%- set columns = get_quoted_csv(arg_dict["dest_columns"] | map(attribute="name")) -%}
    {%- set found = following() -%}
    {%- if found["is_cut"] -%}
        {#- Inputs lacked rows: what the query returned is not what these keys have. -#}
        {{ return("select 1 where false") }}
    {%- endif -%}
    {%- if config.get("on_schema_change", "ignore") in ["ignore", "append_new_columns"] -%}
        {#- With the other two, dbt itself refuses other types or follows them. #}
        {%- do refuse_other_types(target, new_rows) -%}
    {%- endif -%}
    {%- do leave_out_other_keys(new_rows) -%}
    {%- do tell_of_shared_keys(new_rows, found["key"]) -%}
    {%- if found["tracks"] %}
        {%- set tracks = get_quoted_csv(found["tracks"]) -%}
        {%- if not found["is_log_current"] %}
            {{ new_change_log(target, found) }};
        {%- endif %}
        insert into {{ found["changes"] }}
        select {{ tracks }}, cast(sum(change) as bigint) as _change, {{ lake_snapshot() }} as _lake_snapshot
        from (
            select {{ tracks }}, -1 as change
            from {{ target }}
            where {{ is_touched_row(target) }}
            union all
            select {{ tracks }}, 1 as change
            from {{ new_rows }}
        ) as old_and_new
        group by {{ tracks }};
    {%- endif %}

    delete from {{ target }} where {{ is_touched_row(target) }};

    insert into {{ target }} ({{ columns }})
    select {{ columns }} from {{ new_rows }}
{% endmacro %}


{#- Refuse rows whose values the table would bend: DuckDB makes 2 of 1.5 where a whole number
    stands, and a day of a time. So it is when a column that is read has another type than before. -#}
{% macro refuse_other_types(target, new_rows) %}
    {%- set types = {} -%}
    {%- for column in adapter.get_columns_in_relation(target) -%}
        {%- do types.update({column.name | lower: column.data_type | upper}) -%}
    {%- endfor -%}
    {%- for column in adapter.get_columns_in_relation(new_rows) -%}
        {%- set old = types.get(column.name | lower, "") -%}
        {%- set new = column.data_type | upper -%}
        {%- if old and old != new and bends(old, new) -%}
            {%- do exceptions.raise_compiler_error(
                this.identifier ~ ": " ~ column.name ~ " is " ~ new ~ " now, and was " ~ old ~ " when the "
                ~ "table was made. Run `boathouse build --full-refresh --select " ~ model.name ~ "+`."
            ) -%}
        {%- endif -%}
    {%- endfor -%}
{% endmacro %}


{#- Whether values of a new type may not fit one column of an old type as they are. -#}
{% macro bends(old, new) %}
    {%- set whole = ["TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT"] -%}
    {%- set old_kind, new_kind = old.split("(")[0], new.split("(")[0] -%}
    {%- if old_kind == "DECIMAL" and new_kind == "DECIMAL" -%}
        {{ return(old.split(",")[1].strip(" )") | int < new.split(",")[1].strip(" )") | int) }}
    {%- endif -%}
    {{ return(
        (new_kind in ["DECIMAL", "DOUBLE", "FLOAT"] and old_kind in whole)
        or (new_kind in ["DOUBLE", "FLOAT"] and old_kind == "DECIMAL")
        or (new_kind in ["DOUBLE"] and old_kind == "FLOAT")
        or (new_kind in ["BIGINT", "HUGEINT", "DECIMAL"] and old_kind in ["DOUBLE", "FLOAT"])
        or (new_kind == "VARCHAR" and old_kind not in ["VARCHAR", "JSON"])
        or (new_kind.startswith("TIMESTAMP") and old_kind in ["DATE", "TIME"])
    ) }}
{% endmacro %}


{#- Take rows of keys that were not touched out of what a query returned: they are in the table
    already. A model whose query returns them computes more than it needs, and is told so. -#}
{% macro leave_out_other_keys(new_rows) %}
    {%- set others = run_query(
        "delete from " ~ new_rows ~ " where rowid in (select computed.rowid from " ~ new_rows
        ~ " as computed where not coalesce(" ~ is_touched("computed") ~ ", false))"
    ) -%}
    {%- set count = others.rows[0][0] if others.rows else 0 -%}
    {%- if count -%}
        {%- do exceptions.warn(
            this.identifier ~ " computed " ~ count ~ " rows of keys that nothing has touched, which "
            ~ "were left out. Its rows are right; with `where {{ is_touched(…) }}` on what it reads "
            ~ "it would take less time."
        ) -%}
    {%- endif -%}
{% endmacro %}


{#- Warn of a `unique_key` by which rows are computed again, but that is not theirs alone. -#}
{% macro tell_of_shared_keys(new_rows, key) %}
    {%- if not config.get("meta", {}).get("touched_by") -%}
        {%- set shared = run_query(
            "select 1 from " ~ new_rows ~ " group by " ~ get_quoted_csv(key)
            ~ " having count(*) > 1 limit 1"
        ) -%}
        {%- if shared.rows -%}
            {%- do exceptions.warn(
                this.identifier ~ " has several rows for one value of its `unique_key`. Its rows are "
                ~ "right; call the columns by which they are computed again `meta.touched_by`, and "
                ~ "keep `unique_key` for a key that is unique."
            ) -%}
        {%- endif -%}
    {%- endif -%}
{% endmacro %}


{#- Rows that an incremental build computes are only those of touched keys. -#}
{% macro duckdb__create_table_as(temporary, relation, compiled_code, language="sql", partitioned_by=none, sorted_by=none) %}
    {%- set code = compiled_code -%}
    {%- if temporary and language == "sql" and model.resource_type == "model" and config.get("incremental_strategy") == "touched" -%}
        {%- set answer = {} -%}
        {%- do adapter.store_relation("dbt_plugin", this, [], "", "", {"narrow": model.unique_id, "sql": compiled_code, "answer": answer}) -%}
        {%- set code = answer["sql"] -%}
    {%- endif -%}
    {{ return(dbt.duckdb__create_table_as(temporary, relation, code, language, partitioned_by, sorted_by)) }}
{% endmacro %}


{% macro new_change_log(target, found) %}
    {%- set tracks = get_quoted_csv(found["tracks"]) -%}
    create or replace table {{ found["changes"] }} as
    select {{ tracks }}, cast(0 as bigint) as _change, cast(0 as bigint) as _lake_snapshot
    from {{ target }}
    limit 0
{% endmacro %}


{#- Post-hook of every model, in the transaction of an incremental one: note how far it has
    followed, and by which code. What an input that lacked rows has left is noted as not built. -#}
{% macro remember_progress() %}
    {%- if config.get("materialized") == "incremental" and execute -%}
        {%- set found = following() -%}
        {%- set stays = is_incremental() -%}
        {%- set is_touched_model = config.get("incremental_strategy") == "touched" -%}
        {%- if found["is_cut"] -%}
            {%- if not (stays and is_touched_model) -%}
                delete from lake.meta.model_state where model = {{ sql_text(found["name"]) }}
            {%- endif -%}
        {%- else -%}
            {%- set snapshot = lake_snapshot() -%}
            {%- set noted = found["tracks_snapshot"] if stays and found["is_log_current"] else snapshot + (0 if stays else 1) -%}
            {%- if found["tracks"] and not stays %}
                {{ new_change_log(this, found) }};
            {%- endif %}
            delete from lake.meta.model_state where model = {{ sql_text(found["name"]) }};
            insert into lake.meta.model_state
                (model, load_id, lake_snapshot, rebuilt_snapshot, fingerprint, stale_reason, tracks_snapshot)
            select
                {{ sql_text(found["name"]) }},
                coalesce(max(load_id), 0),
                {{ snapshot }},
                {{ found["rebuilt_snapshot"] if stays else snapshot }},
                {{ sql_text(found["fingerprint"]) }},
                null,
                {{ noted if is_touched_model and found["tracks"] else "null" }}
            from {{ source("meta", "loads") }}
        {%- endif -%}
    {%- elif execute and following().get("is_known") -%}
        {#- It was incremental. What it noted then says nothing of the rows that it has now, nor of
            those that it will have when it is incremental again. -#}
        delete from lake.meta.model_state where model = {{ sql_text(following()["name"]) }}
        {{ "and stale_reason is null" if is_cut() }}
    {%- endif -%}
{% endmacro %}


{#- The snapshot that the open transaction builds on; its own commit will be a later one. -#}
{% macro lake_snapshot() %}
    {%- if execute -%}
        {{ return(run_query("select id from ducklake_current_snapshot('lake') as newest (id)").rows[0][0]) }}
    {%- endif -%}
    {{ return(0) }}
{% endmacro %}
