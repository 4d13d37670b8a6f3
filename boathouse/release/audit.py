"""The last look at a written file before readers see it: opened anew, as they will open it."""

from collections.abc import Sequence
from pathlib import Path

import duckdb

from boathouse.errors import ReleaseError
from boathouse.release.about import Written
from boathouse.release.contents import Macro
from boathouse.sql import identifier, literal


def audit(path: Path, written: Sequence[Written], macros: Sequence[Macro]) -> None:
    """Do nothing when the file holds what it should.

    Raises:
        ReleaseError: a table is missing, has another number of rows or other columns, or a macro
            cannot be called.
    """
    with duckdb.connect() as con:
        con.execute(f"attach {literal(str(path))} as audited (read_only)")
        con.execute("use audited")
        found = _columns(con)
        for each in written:
            if each.definition is None:
                _check(con, each, found.get((each.schema_name, each.name), []))
        for macro in macros:
            try:
                con.execute(f"explain {macro.call}")
            except duckdb.Error as error:
                raise _refused(f"the macro {macro.name} cannot be called: {error}") from error
    wal = path.with_name(f"{path.name}.wal")
    if wal.exists():
        raise _refused(f"{wal} was left behind")


def _columns(con: duckdb.DuckDBPyConnection) -> dict[tuple[str, str], list[str]]:
    found: dict[tuple[str, str], list[str]] = {}
    rows = con.execute(
        """
        select schema_name, table_name, column_name || ' ' || data_type
        from duckdb_columns()
        where database_name = 'audited'
        order by schema_name, table_name, column_index
        """
    ).fetchall()
    for schema, table, column in rows:
        found.setdefault((schema, table), []).append(column)
    return found


def _check(con: duckdb.DuckDBPyConnection, expected: Written, columns: list[str]) -> None:
    if not columns:
        raise _refused(f"{expected.name} is missing")
    if columns != expected.columns:
        raise _refused(f"{expected.name} has columns {columns}, not {expected.columns}")
    name = f"{identifier(expected.schema_name)}.{identifier(expected.name)}"
    rows = con.execute(f"select count(*) from {name}").fetchall()[0][0]
    if rows != expected.rows:
        raise _refused(f"{expected.name} has {rows} rows, not {expected.rows}")


def _refused(what: str) -> ReleaseError:
    return ReleaseError(
        f"The written file did not pass its audit: {what}.",
        hint="Nothing was released. Run `boathouse release` again.",
    )
