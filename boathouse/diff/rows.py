"""The rows of one mart in two attached files, called `a` and `b` here."""

from collections.abc import Mapping, Sequence
from typing import Any

import duckdb

from boathouse.diff.report import ColumnDiff, Sample
from boathouse.sql import identifier

Common = Mapping[str, tuple[str, str]]  # a column of both → its type in a and in b
Sides = tuple[str, str]  # under which names they are attached; twice the same for one file

_NUMBERS = frozenset(
    (
        *("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT"),
        *("UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "UHUGEINT"),
        *("FLOAT", "DOUBLE", "DECIMAL"),
    )
)
_TIMES = frozenset(("DATE", "TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS"))
_HERE = '"is here"'  # no column of a mart


def count(con: duckdb.DuckDBPyConnection, side: str, mart: str) -> int:
    """Return the number of rows of a mart."""
    return int(_value(con, f"select count(*) from {_table(side, mart)}"))


def compare(
    con: duckdb.DuckDBPyConnection,
    sides: Sides,
    mart: str,
    common: Common,
    keys: Sequence[Sequence[str]],
    limit: int,
) -> dict[str, Any]:
    """Return what `MartDiff` says of rows, by the columns that both sides have.

    `keys` are what may tell rows apart; the first one that does so on both sides is used.
    """
    sums = [_fingerprint(con, side, mart, common) for side in sides]
    told: dict[str, Any] = {"rows_a": sums[0][0], "rows_b": sums[1][0]}
    is_same = sums[0] == sums[1] and all(old == new for old, new in common.values())
    if is_same or not common:
        return told
    key = next((key for key in keys if _is_key(con, mart, common, key)), None)
    if key is not None:
        return told | {"key": tuple(key)} | _by_key(con, mart, common, key, limit)
    note = "what is said to be its key is not one" if keys else "no test says what its key is"
    return told | {"key_note": note} | _as_multisets(con, mart, common, limit)


def _value(con: duckdb.DuckDBPyConnection, query: str) -> Any:
    return con.execute(query).fetchall()[0][0]


def _table(side: str, mart: str) -> str:
    return f"{side}.marts.{identifier(mart)}"


def _fingerprint(
    con: duckdb.DuckDBPyConnection, side: str, mart: str, common: Common
) -> tuple[int, int]:
    """Return count and checksum of all rows, in any order.

    A row's hash is hashed once more: of the columns' own hashes it is an exclusive or, whose sums
    over rows that differ in the same way might cancel out.
    """
    columns = ", ".join(identifier(column) for column in common) or "0"
    return con.execute(
        f"select count(*), coalesce(sum(hash(hash({columns}))), 0) from {_table(side, mart)}"
    ).fetchall()[0]


def _is_key(con: duckdb.DuckDBPyConnection, mart: str, common: Common, key: Sequence[str]) -> bool:
    if any(column not in common or _is_text(common[column]) for column in key):
        return False
    columns = ", ".join(identifier(column) for column in key)
    return not any(
        _value(
            con,
            f"select exists (select 1 from {_table(side, mart)} group by {columns} "
            "having count(*) > 1)",
        )
        for side in ("a", "b")
    )


def _is_text(kinds: tuple[str, str]) -> bool:
    """Return whether values of two types can be held against each other only as text."""
    bare = {kind.partition("(")[0] for kind in kinds}
    return kinds[0] != kinds[1] and not (bare <= _NUMBERS or bare <= _TIMES)


def _differs(column: str, kinds: tuple[str, str]) -> str:
    kind = "::varchar" if _is_text(kinds) else ""
    name = identifier(column)
    return f"a.{name}{kind} is distinct from b.{name}{kind}"


def _struct(side: str, columns: Sequence[str]) -> str:
    names = (identifier(column) for column in columns)
    return f"{{{', '.join(f'{name}: {side}.{name}::varchar' for name in names)}}}"


def _by_key(
    con: duckdb.DuckDBPyConnection, mart: str, common: Common, key: Sequence[str], limit: int
) -> dict[str, Any]:
    """Compare row by row in one join, which also keeps the samples with the least keys."""
    keys = [identifier(column) for column in key]
    matches = " and ".join(f"a.{name} is not distinct from b.{name}" for name in keys)
    only = {"b": f"b.{_HERE} and a.{_HERE} is null", "a": f"a.{_HERE} and b.{_HERE} is null"}
    changes = {
        column: f"a.{_HERE} and b.{_HERE} and {_differs(column, kinds)}"
        for column, kinds in common.items()
        if column not in key
    }

    def least(side: str, value: str, condition: str) -> str:
        if not limit:
            return "null"
        place = ", ".join(f"{side}.{name}" for name in keys)
        return f"arg_min({value}, row({place}), {limit}) filter ({condition})"

    def values(column: str) -> str:
        name = identifier(column)
        before, after = f"a.{name}::varchar", f"b.{name}::varchar"
        return f"{{key: {_struct('a', key)}, before: {before}, after: {after}}}"

    any_change = " or ".join(f"({condition})" for condition in changes.values()) or "false"
    selected = [
        *(f"count(*) filter ({condition})" for condition in (*only.values(), any_change)),
        *(least(side, _struct(side, list(common)), only[side]) for side in only),
        *(f"count(*) filter ({condition})" for condition in changes.values()),
        *(least("a", values(column), condition) for column, condition in changes.items()),
    ]
    found = con.execute(
        f"select {', '.join(selected)} "
        f"from (select *, true as {_HERE} from {_table('a', mart)}) as a "
        f"full join (select *, true as {_HERE} from {_table('b', mart)}) as b on {matches}"
    ).fetchall()[0]
    added, gone, changed, rows_added, rows_gone = found[:5]
    counts, samples = found[5 : 5 + len(changes)], found[5 + len(changes) :]
    columns = [
        ColumnDiff(column, number, tuple(Sample(**each) for each in sample or ()))
        for column, number, sample in zip(changes, counts, samples, strict=True)
        if number
    ]
    return {
        "rows_added": added,
        "rows_gone": gone,
        "rows_changed": changed,
        "added": tuple(rows_added or ()),
        "gone": tuple(rows_gone or ()),
        "columns": tuple(sorted(columns, key=lambda each: -each.rows_changed)),
    }


def _as_multisets(
    con: duckdb.DuckDBPyConnection, mart: str, common: Common, limit: int
) -> dict[str, Any]:
    """Compare whole rows, each as often as it is there."""
    columns = {
        side: f"select {', '.join(_column(name, kinds) for name, kinds in common.items())} "
        f"from {_table(side, mart)}"
        for side in ("a", "b")
    }
    told: dict[str, Any] = {}
    for name, side, other in (("gone", "a", "b"), ("added", "b", "a")):
        query = f"({columns[side]} except all {columns[other]})"
        con.execute(f"create or replace temp table only_here as {query}")
        told[f"rows_{name}"] = _value(con, "select count(*) from only_here")
        text = "columns(*)::varchar"
        sample = con.execute(f"select {text} from only_here order by all limit {limit}").fetchall()
        told[name] = tuple(dict(zip(common, values, strict=True)) for values in sample)
    con.execute("drop table only_here")
    return told


def _column(name: str, kinds: tuple[str, str]) -> str:
    cast = "::varchar" if _is_text(kinds) else ""
    return f"{identifier(name)}{cast} as {identifier(name)}"
