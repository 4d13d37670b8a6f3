{#- Nothing was lost between a source's files and its raw table: for every file in the ledger,
    rows read = rows loaded + rows rejected, and as many rows are in raw and among the rejects. -#}
{% test reconciles_with_ledger(model, source_name) %}
    with

    ledger as (
        select load_id, file_name, rows_read, rows_loaded, rows_rejected
        from {{ source("meta", "loads") }}
        where
            source = '{{ source_name }}'
            and status = 'loaded'
            and load_id > {{ tested_load() }}
    ),

    raw_rows as (
        select _load_id as load_id, _file as file_name, count(*) as row_count
        from {{ model }}
        group by _load_id, _file
    ),

    rejects as (
        select load_id, file_name, count(*) as row_count
        from {{ source("meta", "rejected_rows") }}
        where source = '{{ source_name }}' and load_id > {{ tested_load() }}
        group by load_id, file_name
    ),

    compared as (
        select
            ledger.load_id,
            coalesce(ledger.file_name, raw_rows.file_name) as file_name,
            ledger.rows_read,
            ledger.rows_loaded,
            ledger.rows_rejected,
            coalesce(raw_rows.row_count, 0) as rows_in_raw,
            coalesce(rejects.row_count, 0) as rows_among_rejects
        from ledger
        full outer join raw_rows
            on ledger.load_id = raw_rows.load_id and ledger.file_name = raw_rows.file_name
        left join rejects
            on ledger.load_id = rejects.load_id and ledger.file_name = rejects.file_name
    )

    select *
    from compared
    where
        load_id is null
        or rows_read != rows_loaded + rows_rejected
        or rows_loaded != rows_in_raw
        or rows_rejected != rows_among_rejects
{% endtest %}
