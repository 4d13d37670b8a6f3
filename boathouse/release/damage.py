"""Whether the files of a release still hold what was written into them.

A disk may change bytes, or lose them, without a word. The checksum of a file tells, and then, or
where it is not known, the checksum that the release remembers of each table's rows.
"""

from collections.abc import Iterable
from pathlib import Path

import duckdb

from boathouse.release import checksums, lookups
from boathouse.release.about import Written, read_base
from boathouse.release.contents import checksum_of
from boathouse.release.opened import opened
from boathouse.release.report import ReleaseInfo
from boathouse.sql import identifier

_MOST_SAID = 200  # characters of what DuckDB says


def of_release(info: ReleaseInfo) -> list[str]:
    """Return a line for each part of a release, look-ups included, that is not what it was."""
    base = read_base(info)
    if base is None:
        return [f"{info.path.name} cannot be read"]
    return of_file(base.path, base.written.values()) + of_lookups(base.path)


def of_file(path: Path, written: Iterable[Written]) -> list[str]:
    """Return a line for each table of a release's file that has other rows than were written.

    When it is none of them, but the file is not what it was, a line about the file.
    """
    is_same = checksums.is_same(path)
    if is_same:
        return []
    wrong = of_tables(path, written, is_deep=True)
    return wrong or ([] if is_same is None else [f"{path.name} is not what was written"])


def of_tables(path: Path, written: Iterable[Written], *, is_deep: bool) -> list[str]:
    """Return a line for each table of a released file that is not as it was written.

    With `is_deep` every row is read; else columns and row counts are looked at.
    """
    try:
        with opened(path) as con:
            columns = _columns(con)
            return [said for each in written if (said := _of_table(con, each, columns, is_deep))]
    except duckdb.Error as error:
        return [f"{path.name} cannot be read: {_first_line(error)}"]


def of_lookups(path: Path) -> list[str]:
    """Return a line when the look-ups beside a release's file are missing or changed.

    Nothing tells where their checksum is not known: the first releases had none.
    """
    if checksums.has_same_lookups(path) is not False:
        return []
    file = lookups.beside(path)
    return [f"{file.name} is {'not what was written' if file.exists() else 'missing'}"]


def _columns(con: duckdb.DuckDBPyConnection) -> dict[tuple[str, str], list[tuple[str, str]]]:
    found: dict[tuple[str, str], list[tuple[str, str]]] = {}
    rows = con.execute(
        """
        select schema_name, table_name, column_name, data_type
        from duckdb_columns()
        where database_name = 'released'
        order by schema_name, table_name, column_index
        """
    ).fetchall()
    for schema, table, column, kind in rows:
        found.setdefault((schema, table), []).append((column, kind))
    return found


def _of_table(
    con: duckdb.DuckDBPyConnection,
    expected: Written,
    columns: dict[tuple[str, str], list[tuple[str, str]]],
    is_deep: bool,
) -> str:
    """Return what is wrong with a table, empty when nothing is."""
    found = columns.get((expected.schema_name, expected.name))
    if found is None:
        return f"{expected.name} is missing"
    signature = [f"{column} {kind}" for column, kind in found]
    if signature != expected.columns:
        return f"{expected.name} has columns {signature}, not {expected.columns}"
    checksum = checksum_of(column for column, _ in found) if is_deep else "null"
    table = f"released.{identifier(expected.schema_name)}.{identifier(expected.name)}"
    try:
        rows, summed = con.execute(f"select count(*), {checksum} from {table}").fetchall()[0]
    except duckdb.Error as error:
        return f"{expected.name} cannot be read: {_first_line(error)}"
    if rows != expected.rows:
        return f"{expected.name} has {rows} rows, not {expected.rows}"
    # Of a release that another version of DuckDB wrote, that all of it can be read has to do.
    is_same = None in (summed, expected.checksum) or summed == expected.checksum
    return "" if is_same else f"{expected.name} has other values than were written"


def _first_line(error: duckdb.Error) -> str:
    return str(error).partition("\n")[0][:_MOST_SAID]
