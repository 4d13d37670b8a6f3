"""Writes what a batch has read: rows, rejects and the ledger, in one lake transaction."""

from datetime import UTC, datetime

import duckdb

from boathouse import catalog
from boathouse.checkpoints import reached
from boathouse.contracts import SYSTEM_COLUMNS
from boathouse.ingest import ledger
from boathouse.ingest.batch import Batch
from boathouse.ingest.records import MOST_A_GROUP, group_rows, shortened_sql
from boathouse.sql import constant, identifier, literal


def commit(batch: Batch) -> None:
    """Write everything that follows from a batch that was read; give its outcomes their load.

    Raises:
        LakeError: another process kept the catalogue busy.
    """
    _judge_same_content(batch)
    new = [outcome for outcome in batch.outcomes if not outcome.is_known_verdict]
    loaded = batch.loaded
    if not new and not loaded:
        return
    put_files(batch)
    _put_malformed(batch)
    taken_back = _put_taken_back(batch)
    ledger.prepare(batch.lake, [*loaded.values(), *new])
    loaded_at = utc_now()
    files = len(loaded) or len(new)
    source = batch.contract.source

    def write(con: duckdb.DuckDBPyConnection) -> int:
        load_id = ledger.next_load_id(con)
        if taken_back:
            _take_back(con, batch, load_id)
        if loaded:
            insert_rows(con, batch, load_id, loaded_at)
            reached("load:rows-inserted")
            if any(outcome.rows_rejected for outcome in loaded.values()):
                _insert_rejects(con, batch, load_id, loaded_at)
        ledger.append(con, load_id, loaded_at)
        reached("load:before-commit")
        return load_id

    message = f"load {files} file{'s' if files != 1 else ''} into {source}"
    load_id = batch.lake.write(write, message, {"source": source, "files": files})
    batch.outcomes += loaded.values()
    for outcome in batch.outcomes:
        if not outcome.is_known_verdict:
            outcome.load_id = load_id


def utc_now() -> datetime:
    """Return the time as the lake keeps it: UTC, without saying so."""
    return datetime.now(UTC).replace(tzinfo=None)


def _judge_same_content(batch: Batch) -> None:
    """Do with files that are the same as others, byte for byte, what the contract says."""
    loaded = batch.loaded
    hashes = [outcome.sha256 for outcome in loaded.values()]
    others = ledger.same_content_elsewhere(
        batch.lake, batch.contract.source, hashes, without=_delivered_anew(batch)
    )
    policy = batch.contract.landing.same_content
    for file_no, outcome in loaded.items():
        other = others.setdefault(outcome.sha256, outcome.file.name)
        if other == outcome.file.name:
            continue
        note = f"same content as {other}"
        if policy == "load":
            outcome.reason = f"{note}; {outcome.reason}" if outcome.reason else note
        else:
            status = "duplicate" if policy == "skip" else "rejected"
            batch.set_aside(file_no, f"{note} (same_content: {policy})", status)


def _delivered_anew(batch: Batch) -> set[str]:
    """Return the names whose earlier rows give way to what was delivered now."""
    if batch.contract.landing.redelivery == "append":
        return set()
    return batch.redelivered & {
        outcome.file.name
        for outcome in batch.files.values()
        if outcome.status in ("loaded", "duplicate")
    }


def _put_taken_back(batch: Batch) -> bool:
    """Put the names of files that are delivered anew into a table; return if there are any."""
    names = _delivered_anew(batch)
    batch.lake.put("taken_back", {"name": "varchar"}, [(name,) for name in names])
    return bool(names)


def _take_back(con: duckdb.DuckDBPyConnection, batch: Batch, load_id: int) -> None:
    """Move the rows of files that are delivered anew out of the raw table."""
    contract = batch.contract
    among = "_file in (select name from taken_back)"
    con.execute(
        f"insert into {contract.replaced_table} by name "
        f"select *, {load_id} as {catalog.REPLACED_BY} from {contract.table} where {among}"
    )
    con.execute(f"delete from {contract.table} where {among}")
    con.execute(
        f"update lake.meta.loads set status = 'replaced' where source = {literal(contract.source)} "
        "and status = 'loaded' and file_name in (select name from taken_back)"
    )


def insert_rows(
    con: duckdb.DuckDBPyConnection,
    batch: Batch,
    load_id: int,
    loaded_at: datetime,
    only: str = "true",
) -> None:
    """Insert the good records of the files in `files` that meet the condition `only`."""
    contract = batch.contract
    _suit_groups(con, batch)
    columns = [
        name
        for name, *_ in con.execute("describe records").fetchall()
        if name not in ("_file_no", "_row", "_reasons", "_text")
    ]
    table = catalog.raw_columns(batch.lake, contract)
    for name in columns:
        if name not in table:
            for target in (contract.table, contract.replaced_table):
                con.execute(f"alter table {target} add column {identifier(name)} varchar")
    values = [f"records.{identifier(name)}" for name in columns]
    for column in contract.filename_columns:
        columns.append(column.name)
        values.append(f"files.{identifier(f'from_name_{column.name}')}::{column.data_type}")
    values += [
        str(load_id),
        "files.name",
        "records._row",
        constant(loaded_at),
    ]
    names = ", ".join(identifier(name) for name in [*columns, *SYSTEM_COLUMNS])
    con.execute(
        f"insert into {contract.table} ({names}) select {', '.join(values)} "
        "from records inner join files on records._file_no = files._file_no "
        f"where records._reasons is null and {only}"
    )


def _suit_groups(con: duckdb.DuckDBPyConnection, batch: Batch) -> None:
    """Let the table's files have groups of fewer rows where rows are long: each is held in memory.

    Files that are written from it later, when small ones are merged, have such groups too.
    """
    rows = group_rows(batch.row_bytes)
    if rows < MOST_A_GROUP:
        table = literal(batch.contract.source)
        con.execute(
            f"call lake.set_option('parquet_row_group_size', {rows}, schema => 'raw', "
            f"table_name => {table})"
        )


def put_files(batch: Batch) -> None:
    """Put the files of a batch that are loaded, by number, into the table `files`."""
    from_name = {f"from_name_{c.name}": c.data_type for c in batch.contract.filename_columns}
    batch.lake.put(
        "files",
        {"_file_no": "integer", "name": "varchar", **from_name},
        [
            (file_no, outcome.file.name, *batch.filename_values[file_no])
            for file_no, outcome in batch.loaded.items()
        ],
    )


def _put_malformed(batch: Batch) -> None:
    batch.lake.put(
        "malformed",
        {"_file_no": "integer", "_row": "bigint", "_reasons": "varchar[]", "_text": "varchar"},
        [(bad.file_no, bad.row, [bad.reason], bad.text) for bad in batch.malformed],
    )


def _insert_rejects(
    con: duckdb.DuckDBPyConnection, batch: Batch, load_id: int, loaded_at: datetime
) -> None:
    con.execute(
        f"""
        insert into lake.meta.rejected_rows
        select {load_id}, {literal(batch.contract.source)}, files.name, rejects._row,
            rejects._reasons, {shortened_sql("rejects._text")}, {constant(loaded_at)}, null
        from (
            select _file_no, _row, _reasons, _text from records where _reasons is not null
            union all
            select _file_no, _row, _reasons, _text from malformed
        ) as rejects
        inner join files on rejects._file_no = files._file_no
        """
    )
