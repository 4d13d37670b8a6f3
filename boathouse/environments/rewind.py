"""A copy of the SQLite catalogue, cut down to the lake as it was at one snapshot.

The copy keeps that snapshot alone: what ended before it goes, what began after it goes, what ended
after it has not ended. Ids go on from the newest ones, so none is ever given twice.

A file may hold rows, or deletes, of several snapshots: flushing and merging write such files, with
the snapshot of each row in them, and DuckLake leaves out the later ones when it reads as of an
earlier snapshot. In the copy they would turn up as soon as its next snapshots have the same
numbers. So such files are told apart here, for whoever makes the copy to write their rows anew.
"""

import sqlite3
from collections.abc import Iterable
from pathlib import Path

import duckdb

from boathouse.errors import LakeError, UsageError
from boathouse.identity.marks import (
    FORMAT_KEY,
    LAKE_KEY,
    OUR_KEYS,
    SINCE_KEY,
    UNCOUNTED,
    Mark,
)
from boathouse.sql import identifier, path_literal

_SNAPSHOT = "_ducklake_internal_snapshot_id"
_INLINED_DELETES = "ducklake_inlined_delete_"
_SHOWN = 3
# Rows that say more about a row of another table, by the column that names it; parents first.
_BELONGS = (
    ("ducklake_data_file", "table_id", "ducklake_table"),
    ("ducklake_delete_file", "data_file_id", "ducklake_data_file"),
    ("ducklake_file_column_stats", "data_file_id", "ducklake_data_file"),
    ("ducklake_file_partition_value", "data_file_id", "ducklake_data_file"),
    ("ducklake_file_variant_stats", "data_file_id", "ducklake_data_file"),
    ("ducklake_table_stats", "table_id", "ducklake_table"),
    ("ducklake_table_column_stats", "table_id", "ducklake_table"),
    ("ducklake_snapshot_changes", "snapshot_id", "ducklake_snapshot"),
)
_FILES = """
    select schemas.path || tables.path || files.path
    from (
        select table_id, path from ducklake_data_file
        union all
        select table_id, path from ducklake_delete_file
    ) as files
    inner join ducklake_table as tables on files.table_id = tables.table_id
    inner join ducklake_schema as schemas on tables.schema_id = schemas.schema_id
    order by 1
"""


def choose(con: sqlite3.Connection, snapshot: int | None) -> tuple[int, bool]:
    """Return the snapshot to go to, by default the newest, and whether it is the newest.

    Raises:
        UsageError: the lake does not have it, or no longer.
    """
    there = [number for (number,) in con.execute("select snapshot_id from ducklake_snapshot")]
    newest = max(there)
    chosen = newest if snapshot is None else snapshot
    if chosen not in there:
        raise UsageError(
            f"The lake has no snapshot {chosen}; it has {len(there):,}, from {min(there)} to "
            f"{newest}.",
            hint="`boathouse releases` says which snapshot each release shows. Older ones expire: "
            "BOATHOUSE_KEEP_SNAPSHOTS_DAYS says when.",
        )
    return chosen, chosen == newest


def keep_only(con: sqlite3.Connection, snapshot: int) -> None:
    """Cut everything down to one snapshot.

    Raises:
        LakeError: a path in it is not relative, so that two lakes would write into one folder.
    """
    for table in _tables(con):
        columns = _columns(con, table)
        if {"begin_snapshot", "end_snapshot"} <= columns:
            con.execute(
                f"delete from {table} where begin_snapshot > ? or end_snapshot <= ?",
                [snapshot, snapshot],
            )
            con.execute(f"update {table} set end_snapshot = null")
        elif "begin_snapshot" in columns:
            con.execute(f"delete from {table} where begin_snapshot > ?", [snapshot])
    con.execute(
        "update ducklake_snapshot set "
        "next_catalog_id = (select max(next_catalog_id) from ducklake_snapshot), "
        "next_file_id = (select max(next_file_id) from ducklake_snapshot) where snapshot_id = ?",
        [snapshot],
    )
    con.execute("delete from ducklake_snapshot where snapshot_id <> ?", [snapshot])
    con.execute("delete from ducklake_files_scheduled_for_deletion")
    _drop_inlined(con)
    _drop_what_belongs_to_nothing(con)
    _require_relative(con)


def _tables(con: sqlite3.Connection) -> list[str]:
    rows = con.execute("select name from sqlite_master where type = 'table'")
    return sorted(identifier(name) for (name,) in rows if name.startswith("ducklake_"))


def _columns(con: sqlite3.Connection, table: str) -> set[str]:
    return {row[1] for row in con.execute(f"pragma table_info({table})")}


def _drop_inlined(con: sqlite3.Connection) -> None:
    """Drop the tables of rows in the catalogue that the snapshot's tables do not have (yet)."""
    version = con.execute("select schema_version from ducklake_snapshot").fetchone()[0]
    gone = con.execute(
        "select table_name from ducklake_inlined_data_tables "
        "where schema_version > ? or table_id not in (select table_id from ducklake_table)",
        [version],
    ).fetchall()
    for (name,) in gone:
        con.execute(f"drop table {identifier(name)}")
        con.execute("delete from ducklake_inlined_data_tables where table_name = ?", [name])


def _drop_what_belongs_to_nothing(con: sqlite3.Connection) -> None:
    for table, column, owner in _BELONGS:
        con.execute(f"delete from {table} where {column} not in (select {column} from {owner})")
    for table in _tables(con):
        if table.strip('"').startswith(_INLINED_DELETES):
            con.execute(
                f"delete from {table} where file_id not in "
                "(select data_file_id from ducklake_data_file)"
            )


def _require_relative(con: sqlite3.Connection) -> None:
    found = [
        path
        for table in ("schema", "table", "data_file", "delete_file")
        for (path,) in con.execute(f"select path from ducklake_{table} where not path_is_relative")
    ]
    if found:
        raise LakeError(
            f"{len(found)} of the catalogue's paths lie outside the lake's folder: "
            + ", ".join(found[:_SHOWN]),
            hint="An environment would write or delete there. Bring these tables into the lake "
            "with `create or replace table … as from …` first.",
        )


def files(con: sqlite3.Connection) -> list[str]:
    """Return all files that the catalogue refers to, relative to the lake's folder."""
    return [path for (path,) in con.execute(_FILES)]


def mixed(con: sqlite3.Connection, snapshot: int, lake: Path) -> set[int]:
    """Return the ids of data files that hold rows, or have deletes, from after the snapshot."""
    found = con.execute(
        "select data_file_id from ducklake_data_file where partial_max > ?", [snapshot]
    ).fetchall()
    deletes = con.execute(
        """
        select files.data_file_id, schemas.path || tables.path || files.path, files.partial_max
        from ducklake_delete_file as files
        inner join ducklake_table as tables on files.table_id = tables.table_id
        inner join ducklake_schema as schemas on tables.schema_id = schemas.schema_id
        """
    ).fetchall()
    latest = _latest_deletes(str(lake / path) for _, path, _ in deletes)
    later = {
        data_file
        for data_file, path, partial_max in deletes
        if max(partial_max or 0, latest.get(str(lake / path), 0)) > snapshot
    }
    return {data_file for (data_file,) in found} | later


def _latest_deletes(paths: Iterable[str]) -> dict[str, int]:
    """Return the latest snapshot in each file of deletes that notes the snapshot of each row.

    Flushing writes such files without saying so in the catalogue.
    """
    parquet = [path for path in paths if path.endswith(".parquet")]
    if not parquet:
        return {}
    with duckdb.connect() as con:
        noting = con.execute(
            f"select file_name from parquet_schema({_listed(parquet)}) where name = '{_SNAPSHOT}'"
        ).fetchall()
        if not noting:
            return {}
        return dict(
            con.execute(
                f"select filename, max({_SNAPSHOT}) "
                f"from read_parquet({_listed(path for (path,) in noting)}, filename = true) "
                "group by filename"
            ).fetchall()
        )


def _listed(paths: Iterable[str]) -> str:
    return f"[{', '.join(path_literal(Path(path)) for path in paths)}]"


def leave_out(con: sqlite3.Connection, data_files: set[int]) -> None:
    """Take files, with what is deleted of them, out of the catalogue."""
    con.executemany(
        "delete from ducklake_data_file where data_file_id = ?", [(each,) for each in data_files]
    )
    _drop_what_belongs_to_nothing(con)


def leave_only(con: sqlite3.Connection, data_files: set[int]) -> list[tuple[str, str]]:
    """Take everything but these files out of the catalogue; return schema and table of theirs."""
    all_files = con.execute("select data_file_id from ducklake_data_file").fetchall()
    leave_out(con, {each for (each,) in all_files} - data_files)
    for (name,) in con.execute("select table_name from ducklake_inlined_data_tables").fetchall():
        con.execute(f"delete from {identifier(name)}")
    return con.execute(
        """
        select distinct schemas.schema_name, tables.table_name
        from ducklake_data_file as files
        inner join ducklake_table as tables on files.table_id = tables.table_id
        inner join ducklake_schema as schemas on tables.schema_id = schemas.schema_id
        order by 1, 2
        """
    ).fetchall()


def renumber(con: sqlite3.Connection, snapshot: int) -> None:
    """Let the newest snapshot, which has written the rows of mixed files anew, be `snapshot`."""
    newest = con.execute("select max(snapshot_id) from ducklake_snapshot").fetchone()[0]
    for table in _tables(con):
        if "begin_snapshot" in _columns(con, table):
            con.execute(
                f"update {table} set begin_snapshot = ? where begin_snapshot = ?",
                [snapshot, newest],
            )
    # It has versions and ids of its own; only its number and its time are those of the other.
    con.execute(
        "update ducklake_snapshot set snapshot_time = "
        "(select snapshot_time from ducklake_snapshot where snapshot_id = ?) where snapshot_id = ?",
        [snapshot, newest],
    )
    con.execute("delete from ducklake_snapshot where snapshot_id <> ?", [newest])
    con.execute("update ducklake_snapshot set snapshot_id = ?", [snapshot])
    _drop_what_belongs_to_nothing(con)


def count_anew(con: sqlite3.Connection) -> None:
    """Make what the catalogue says of the sizes of tables true again."""
    con.execute(
        """
        update ducklake_table_stats set
            record_count = (
                select coalesce(sum(record_count), 0) from ducklake_data_file as files
                where files.table_id = ducklake_table_stats.table_id
            ),
            file_size_bytes = (
                select coalesce(sum(file_size_bytes), 0) from ducklake_data_file as files
                where files.table_id = ducklake_table_stats.table_id
            )
        """
    )
    for table_id, name in con.execute(
        "select table_id, table_name from ducklake_inlined_data_tables"
    ).fetchall():
        con.execute(
            "update ducklake_table_stats set record_count = record_count + "
            f"(select count(*) from {identifier(name)}) where table_id = ?",
            [table_id],
        )


def format_of(con: sqlite3.Connection, snapshot: int) -> int:
    """Return the format that the lake was in, or one from before, as of a snapshot."""
    told = dict(con.execute("select key, value from ducklake_metadata where scope is null"))
    is_since = snapshot >= int(told.get(SINCE_KEY, 0))
    return int(told.get(FORMAT_KEY, UNCOUNTED)) if is_since else UNCOUNTED


def give_identity(con: sqlite3.Connection, mark: Mark) -> None:
    """Tell the catalogue that it is of a lake of its own, whichever it was copied from."""
    con.executemany("delete from ducklake_metadata where key = ?", [(key,) for key in OUR_KEYS])
    con.executemany(
        "insert into ducklake_metadata (key, value) values (?, ?)",
        [(LAKE_KEY, mark.lake), (FORMAT_KEY, str(mark.format))],
    )


def move(con: sqlite3.Connection, lake: Path) -> None:
    """Tell the catalogue in which folder its files are."""
    con.execute("update ducklake_metadata set value = ? where key = 'data_path'", [f"{lake}/"])
