"""Comparing the marts of two files in sets: each pair is read once, or twice when it differs.

Nulls are equal to nulls and NaNs to NaNs; the order of rows and columns does not matter.
"""

from collections.abc import Mapping, Sequence

import duckdb

from boathouse import lake
from boathouse.diff import rows
from boathouse.diff.report import DiffReport, MartDiff, Presence, Retyped
from boathouse.diff.sides import Side
from boathouse.errors import BoathouseError, UsageError
from boathouse.settings import Settings
from boathouse.sql import literal

Columns = dict[str, str]  # name → type


class DiffError(BoathouseError):
    """Two files could not be compared."""


def compare(
    settings: Settings, a: Side, b: Side, *, marts: Sequence[str] = (), limit: int = 5
) -> DiffReport:
    """Return what differs between two sides.

    Args:
        settings: How much of the machine may be used.
        a: What was before.
        b: What is after.
        marts: Only these; all when empty.
        limit: Most samples of each kind.

    Raises:
        UsageError: neither side has a mart that was asked for.
        DiffError: a file cannot be read.
    """
    is_one_file = a.path.samefile(b.path)  # which DuckDB does not attach twice
    try:
        with duckdb.connect(config=lake.config(settings)) as con:
            con.execute("set timezone = 'UTC'")
            for name, side in (("a", a), ("b", b))[: 1 if is_one_file else 2]:
                con.execute(f"attach {literal(str(side.path))} as {name} (read_only)")
            both = ("a", "a") if is_one_file else ("a", "b")
            return DiffReport(a, b, tuple(_compare(con, both, marts, limit)))
    except duckdb.Error as error:
        raise DiffError(
            f"{a.label} and {b.label} cannot be compared: {error}",
            hint="Both must be DuckDB files with a schema `marts`, as Boathouse releases them.",
        ) from error


def _compare(
    con: duckdb.DuckDBPyConnection, sides: rows.Sides, wanted: Sequence[str], limit: int
) -> list[MartDiff]:
    tables = _tables(con, sides[0]), _tables(con, sides[1])
    macros = _macros(con, sides[0]), _macros(con, sides[1])
    for table, macro in zip(tables, macros, strict=True):
        if not (table or macro):
            raise duckdb.CatalogException("there are no marts in one of them")
    there = {name for side in (*tables, *macros) for name in side}
    unknown = [name for name in wanted if name not in there]
    if unknown:
        raise UsageError(
            f"Neither side has a mart {unknown[0]!r}.",
            hint=f"There are: {', '.join(sorted(there))}.",
        )
    keys = _keys(con, sides[1]), _keys(con, sides[0])
    found = []
    for name in sorted(set(wanted) or there):
        if name in tables[0] or name in tables[1]:
            named = [key[name] for key in keys if key.get(name)]
            found.append(_mart(con, sides, name, tables, named, limit))
        else:
            before, after = macros[0].get(name), macros[1].get(name)
            redefined = before is not None and after is not None and before != after
            presence = _presence(before is not None, after is not None)
            found.append(MartDiff(name, presence, is_macro=True, is_redefined=redefined))
    return found


def _presence(in_a: bool, in_b: bool) -> Presence:
    return "both" if in_a and in_b else "only in a" if in_a else "only in b"


def _tables(con: duckdb.DuckDBPyConnection, side: str) -> dict[str, Columns]:
    found: dict[str, Columns] = {}
    listed = con.execute(
        "select table_name, column_name, data_type from duckdb_columns() "
        f"where database_name = '{side}' and schema_name = 'marts' order by all"
    ).fetchall()
    for table, column, kind in listed:
        found.setdefault(table, {})[column] = kind
    return found


def _macros(con: duckdb.DuckDBPyConnection, side: str) -> dict[str, str]:
    listed = con.execute(
        "select function_name, parameters::varchar || macro_definition from duckdb_functions() "
        f"where database_name = '{side}' and schema_name = 'marts' and macro_definition is not null"
    ).fetchall()
    return dict(listed)


def _keys(con: duckdb.DuckDBPyConnection, side: str) -> dict[str, list[str]]:
    """Return the columns by which a test finds each row of a mart to be another one."""
    there = con.execute(
        "select table_name from duckdb_tables() "
        f"where database_name = '{side}' and schema_name = 'meta'"
    ).fetchall()
    # Releases from before `meta.keys` say it of the marts that the API offers.
    table = next((name for name in ("keys", "api") if (name,) in there), None)
    if table is None:
        return {}
    return dict(con.execute(f"select mart, unique_columns from {side}.meta.{table}").fetchall())


def _mart(
    con: duckdb.DuckDBPyConnection,
    sides: rows.Sides,
    name: str,
    tables: tuple[Mapping[str, Columns], Mapping[str, Columns]],
    keys: list[list[str]],
    limit: int,
) -> MartDiff:
    before, after = tables[0].get(name), tables[1].get(name)
    if before is None or after is None:
        presence = _presence(before is not None, after is not None)
        count = rows.count(con, sides[after is not None], name)
        counts = (count, None) if after is None else (None, count)
        return MartDiff(name, presence, rows_a=counts[0], rows_b=counts[1])
    common = {column: (before[column], after[column]) for column in before if column in after}
    found = rows.compare(con, sides, name, common, keys, limit)
    return MartDiff(
        name,
        "both",
        columns_added=tuple(column for column in after if column not in before),
        columns_gone=tuple(column for column in before if column not in after),
        columns_retyped=tuple(
            Retyped(column, old, new) for column, (old, new) in common.items() if old != new
        ),
        **found,
    )
