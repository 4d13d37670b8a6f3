"""Whether "only output rows with these keys" may be pushed down to what a query reads, and how.

A scan (one use of a base relation in a query) has keys when it is proven that, whatever set of
keys is asked for, the output rows with these keys stay the same rows when the scan and all others
with keys keep only the rows whose own keys are in the set; null is a value like any other. It
follows that when rows of the relation come and go, only output rows change whose keys are among
those of the rows that came and went, in one of the relation's scans. A scan without keys says why.

What is taken for granted:

- The query says which rows it returns: where it leaves that open (a window's order with ties,
  `any_value`, `first` without an order), a narrowed query may choose otherwise, as may the same
  query run twice.
- Text compares byte by byte (no collations), and an equality of floating-point numbers with
  integers is not what a key hangs on.
- Columns that were given without types and are compared by `=` are of types whose equal values
  are the same keys. Give types, as a mapping of names to types, to have it checked: `'01' = 1`
  holds between text and numbers, and then a key cannot pass from one to the other.
- A key may be of another type than the output column that it stands for (a date for a
  timestamp): gather keys with a `union`, whose type holds both.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from boathouse.build.pushdown.expressions import Unproven
from boathouse.build.pushdown.narrowing import narrowed
from boathouse.build.pushdown.reading import PushdownError, read, volatile_in
from boathouse.build.pushdown.scopes import Outputs, Reader
from boathouse.build.pushdown.sources import Env
from boathouse.build.pushdown.terms import refs
from boathouse.build.pushdown.tracing import Found, Tracer, keys_sql, without_missing

__all__ = ["PushdownError", "Scan", "Trace", "narrow", "trace"]

Relation = tuple[str, ...]
Columns = Mapping[Relation, Sequence[str] | Mapping[str, str]]


@dataclass(frozen=True)
class Scan:
    """One use of a base relation.

    `relation` is its name as it is spelled, in lower case and without quotes; `keys` are SQL
    expressions over its own columns, one for each column of the key, or None when that is not
    proven, `reason` then being why, as a clause about the relation; `columns` are those that the
    keys use, in lower case.
    """

    relation: Relation
    keys: tuple[str, ...] | None
    reason: str
    columns: frozenset[str]


@dataclass(frozen=True)
class Trace:
    """Each use of a base relation that a query's output hangs on, through views and subqueries.

    A common table expression that is read twice is two uses of what it reads; one that is never
    read is none. `volatile` names a function or clause whose outcome changes by itself, anywhere
    in the query or its views. `output` are the names of the output columns.
    """

    scans: tuple[Scan, ...]
    volatile: str | None
    output: tuple[str, ...]


def trace(
    sql: str, key: Sequence[str], *, views: Mapping[Relation, str], columns: Columns
) -> Trace:
    """Return for each use of a base relation in a query the keys its rows have, or why none.

    Args:
        sql: a SELECT in DuckDB's dialect.
        key: names of output columns.
        views: the SQL of relations that are views; looked through, one in another too.
        columns: the columns of base relations in order, better with their types; a relation that
            is missing here has columns that are not known.

    Raises:
        PushdownError: the SQL cannot be read, or a column of the key is not in its output.
    """
    found, outputs, reader = _found(sql, key, views, columns)
    volatile = next((each for each in map(volatile_in, [sql, *reader.texts]) if each), None)
    scans = tuple(
        Scan(
            each.relation,
            keys_sql(each),
            each.reason,
            frozenset(ref.column for term in each.keys or () for ref in refs(term)),
        )
        for each in found
    )
    return Trace(scans, volatile, tuple(name or "" for name in outputs.names))


def narrow(
    sql: str,
    key: Sequence[str],
    touched: str,
    *,
    views: Mapping[Relation, str],
    columns: Columns,
) -> str:
    """Return the query with each scan that has keys reading only rows with keys in a relation.

    Of the rows it returns, those with keys in the relation `touched`, which has the columns of
    the key, are all the rows that `sql` returns with these keys; others may be returned too, whole
    or not. The text is changed where the scans are written and nowhere else.

    Raises:
        PushdownError: the SQL cannot be read, or a column of the key is not in its output.
    """
    found, _, reader = _found(sql, key, views, columns)
    return narrowed(sql, key, touched, found, reader)


def _found(
    sql: str, key: Sequence[str], views: Mapping[Relation, str], columns: Columns
) -> tuple[list[Found], Outputs, Reader]:
    text = read(sql)
    env = Env(text)
    reader = Reader(views, columns)
    outputs = reader.outputs(text.query, env)
    if not key:
        raise PushdownError("A key has at least one column.")
    names = [name.lower() for name in key]
    missing = [name for name in names if name not in outputs.names]
    if missing and outputs.width is not None:
        shown = ", ".join(each for each in outputs.names if each)
        raise PushdownError(
            f"The query has no column {missing[0]} that could be its key.",
            hint=f"Its columns are: {shown}",
        )
    every = Tracer(reader, names)
    try:
        wanted = [outputs.reference(name) for name in names]
    except Unproven as why:
        every.refuse(text.query, env, f"{' and '.join(names)} {why}")
        return every.found, outputs, reader
    every.refuse(text.query, env, "")
    tracer = Tracer(reader, names)
    tracer.push(text.query, env, wanted)
    reason = "it is read in a way that is not understood"
    return without_missing(tracer.found, every.found, reason), outputs, reader
