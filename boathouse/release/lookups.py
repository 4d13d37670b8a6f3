"""Look-ups of a release: rows of marts by one value, newest first, in a file of their own.

DuckDB reads a table by columns and a hundred thousand rows at a time, which costs 21 ms for the
sessions of one player among a million; SQLite walks its tree to them in 0.01 ms, or 0.3 ms when
its pages were not read before. So next to `releases/<n>.duckdb` lies
`releases/<n>.lookups.sqlite`, written with it from the same rows, by what has changed since the
release before.

A mart's YAML says what is to be looked up, in `config.meta.lookups`:

    completed_sessions: {by: player_id, newest: ended_at, columns: [country], where: is_completed}
"""

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import duckdb

from boathouse.errors import ReleaseError
from boathouse.sql import identifier

_ROWS_AT_ONCE = 100_000
_TIMES = ("TIMESTAMP", "DATE")
_LONG_AGO = -(2**63)
_KEPT = "create table if not exists lookups (name text primary key, definition text)"


@dataclass(frozen=True)
class Lookup:
    """Rows of a mart by one of its columns, the newest first; equal times are in order of the key.

    Times are kept as whole microseconds since 1970 (UTC).
    """

    name: str
    mart: str
    by: str
    newest: str
    key: tuple[str, ...]
    columns: tuple[str, ...]
    where: str

    @property
    def definition(self) -> str:
        """Return what has to be equal for the rows of two releases to be alike."""
        return json.dumps(asdict(self), sort_keys=True)

    @property
    def all_columns(self) -> list[str]:
        """Return the columns of its table: the value, the time, the key, the rest."""
        return [self.by, self.newest, *self.key, *self.columns]

    def query(self, relation: str) -> str:
        """Return SQL for the rows that a relation with the mart's columns has for it."""
        rest = [*self.key, *self.columns]
        by, newest = identifier(self.by), identifier(self.newest)
        shown = [by, f"epoch_us({newest})", *map(identifier, rest)]
        order = ", ".join(str(place) for place in range(1, len(self.key) + 3))
        return (
            f"select {', '.join(shown)} from {relation} where ({self.where}) "
            f"and {by} is not null and {newest} is not null "
            f"order by {order}"
        )


def beside(release: Path) -> Path:
    """Return where the look-ups of a release are, given the path of its own file."""
    return release.with_name(release.name.replace(".duckdb", ".lookups.sqlite"))


def from_meta(
    mart: str, meta: str, key: Sequence[str], columns: Mapping[str, str]
) -> tuple[Lookup, ...]:
    """Return the look-ups that a mart's YAML asks for, given as JSON.

    Raises:
        ReleaseError: one lacks something, or names a column that the mart does not have.
    """
    found = []
    for name, asked in (json.loads(meta or "{}") or {}).items():
        try:
            lookup = Lookup(
                name=name,
                mart=mart,
                by=asked["by"],
                newest=asked["newest"],
                key=tuple(key),
                columns=tuple(asked.get("columns", [])),
                where=asked.get("where", "true"),
            )
        except (KeyError, TypeError) as error:
            raise _wrong(mart, name, f"needs {error}") from None
        unknown = [column for column in lookup.all_columns if column not in columns]
        if unknown:
            raise _wrong(mart, name, f"names {unknown[0]}, which the mart does not have")
        if not key:
            raise _wrong(mart, name, "needs a mart with a unique key")
        if columns[lookup.newest] not in _TIMES:
            raise _wrong(mart, name, f"needs a time, which {lookup.newest} is not")
        found.append(lookup)
    return tuple(found)


def _wrong(mart: str, name: str, what: str) -> ReleaseError:
    return ReleaseError(
        f"The look-up {name} of {mart} {what}.", hint="Mend meta.lookups in the model's YAML."
    )


def definitions(path: Path) -> dict[str, str]:
    """Return name and definition of the look-ups in a file; empty when there is no such file."""
    if not path.exists():
        return {}
    try:
        with closing(_opened(path, read_only=True)) as con:
            return dict(con.execute("select name, definition from lookups").fetchall())
    except sqlite3.Error:
        return {}


class Writer:
    """Brings a file of look-ups to what a release has, inside one transaction."""

    def __init__(self, path: Path, lookups: Sequence[Lookup]) -> None:
        self._con = _opened(path)
        self._con.execute(_KEPT)
        self._lookups = lookups
        self._known = dict(self._con.execute("select name, definition from lookups").fetchall())
        for name in set(self._known) - {each.name for each in lookups}:
            self._forget(name)

    def close(self) -> None:
        """Commit, and leave a file that others can read in place."""
        self._con.commit()
        self._con.close()

    def stay(self, con: duckdb.DuckDBPyConnection, mart: str, relation: str) -> None:
        """Make the look-ups of a mart that has not changed, where they are missing."""
        for lookup in self._of(mart):
            if self._known.get(lookup.name) != lookup.definition:
                self._rebuild(con, lookup, relation)

    def rebuild(self, con: duckdb.DuckDBPyConnection, mart: str, relation: str) -> None:
        """Make the look-ups of a mart anew from all of its rows."""
        for lookup in self._of(mart):
            self._rebuild(con, lookup, relation)

    def change(
        self, con: duckdb.DuckDBPyConnection, mart: str, relation: str, *, gone: str, alive: str
    ) -> None:
        """Take out rows of a mart that are gone and put in those that came instead."""
        for lookup in self._of(mart):
            if self._known.get(lookup.name) != lookup.definition or not self._change(
                con, lookup, gone, alive
            ):
                self._rebuild(con, lookup, relation)

    def _of(self, mart: str) -> list[Lookup]:
        return [each for each in self._lookups if each.mart == mart]

    def _change(
        self, con: duckdb.DuckDBPyConnection, lookup: Lookup, gone: str, alive: str
    ) -> bool:
        """Return whether every row that is gone was there."""
        size = len(lookup.key) + 2
        same = " and ".join(f"{identifier(c)} = ?" for c in lookup.all_columns[:size])
        deleted = expected = 0
        for rows in _chunks(con, lookup.query(gone)):
            done = self._con.executemany(
                f"delete from {identifier(lookup.name)} where {same}", (r[:size] for r in rows)
            )
            deleted, expected = deleted + done.rowcount, expected + len(rows)
        self._insert(con, lookup, alive)
        return deleted == expected

    def _rebuild(self, con: duckdb.DuckDBPyConnection, lookup: Lookup, relation: str) -> None:
        self._forget(lookup.name)
        columns = ", ".join(identifier(column) for column in lookup.all_columns)
        key = ", ".join(identifier(c) for c in lookup.all_columns[: len(lookup.key) + 2])
        self._con.execute(
            f"create table {identifier(lookup.name)} ({columns}, primary key ({key})) without rowid"
        )
        self._insert(con, lookup, relation)
        self._con.execute("insert into lookups values (?, ?)", (lookup.name, lookup.definition))

    def _insert(self, con: duckdb.DuckDBPyConnection, lookup: Lookup, relation: str) -> None:
        marks = ", ".join("?" for _ in lookup.all_columns)
        statement = f"insert into {identifier(lookup.name)} values ({marks})"
        for rows in _chunks(con, lookup.query(relation)):
            self._con.executemany(statement, rows)

    def _forget(self, name: str) -> None:
        self._con.execute(f"drop table if exists {identifier(name)}")
        self._con.execute("delete from lookups where name = ?", (name,))


class Reader:
    """The look-ups of one release, read in place. To be used by one thread at a time."""

    def __init__(self, path: Path) -> None:
        self._con = _opened(path, read_only=True)
        stored = self._con.execute("select name, definition from lookups").fetchall()
        self._queries = {name: _Queries.of(json.loads(text)) for name, text in stored}

    def newest(
        self,
        name: str,
        value: str,
        limit: int,
        *,
        since: int = _LONG_AGO,
        before: Sequence[Any] = (),
    ) -> list[tuple[Any, ...]]:
        """Return rows with a value, newest first: value, time, key, the rest.

        Args:
            name: The look-up.
            value: What its `by` is.
            limit: Most rows to return.
            since: Only rows from this time on, in microseconds since 1970.
            before: Time and key, or only the time: rows that come after it in this order.

        Raises:
            ReleaseError: this release has no such look-up.
        """
        if name not in self._queries:
            raise ReleaseError(
                f"The release has no look-up {name}.",
                hint="Put it into the mart's meta.lookups, and release again.",
            )
        query = self._queries[name].starting(len(before))
        return self._con.execute(query, (value, since, *before, limit)).fetchall()

    def close(self) -> None:
        """Close the file."""
        self._con.close()


@dataclass(frozen=True)
class _Queries:
    """SQL of one look-up; rows are compared in the order of its primary key."""

    table: str
    by: str
    order: tuple[str, ...]  # time and key

    @staticmethod
    def of(definition: Mapping[str, Any]) -> "_Queries":
        names = map(identifier, [definition["newest"], *definition["key"]])
        return _Queries(identifier(definition["name"]), identifier(definition["by"]), tuple(names))

    def starting(self, known: int) -> str:
        """Return the query for rows after one of which `known` values of the order are given."""
        after = ""
        if known:
            marks = ", ".join("?" * known)
            after = f"and ({', '.join(self.order[:known])}) < ({marks})"
        order = ", ".join(f"{column} desc" for column in self.order)
        return (
            f"select * from {self.table} where {self.by} = ? and {self.order[0]} >= ? {after} "
            f"order by {order} limit ?"
        )


def _opened(path: Path, *, read_only: bool = False) -> sqlite3.Connection:
    if not read_only:
        con = sqlite3.connect(path, isolation_level=None)
        # Nobody sees the file before it is finished and synced; a torn one is deleted.
        con.execute("pragma journal_mode = off")
        con.execute("pragma synchronous = off")
        con.execute("begin")
        return con
    # `immutable`: it never changes in place, so no lock and no journal has to be looked at.
    address = f"{path.absolute().as_uri()}?mode=ro&immutable=1"
    return sqlite3.connect(address, uri=True, check_same_thread=False)


def _chunks(con: duckdb.DuckDBPyConnection, query: str) -> Iterator[list[tuple[Any, ...]]]:
    reading = con.execute(query)
    while rows := reading.fetchmany(_ROWS_AT_ONCE):
        yield rows
