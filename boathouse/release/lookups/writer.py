"""Writing the look-ups of a release."""

import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import duckdb

from boathouse.identity import FORMAT
from boathouse.release.lookups.definition import Lookup
from boathouse.release.lookups.reader import Owner
from boathouse.sql import identifier

_ROWS_AT_ONCE = 100_000
_KEPT = "create table if not exists lookups (name text primary key, definition text)"
_OWNER = "create table if not exists owner (lake text, release_id integer, format integer)"


class Writer:
    """Brings a file of look-ups to what a release has, inside one transaction."""

    def __init__(self, path: Path, lookups: Sequence[Lookup], owner: Owner | None = None) -> None:
        """Open the file at `path`; `owner` is the lake and the release that it is of."""
        # Nobody sees the file before it is finished and synced; a torn one is deleted.
        self._con = sqlite3.connect(path, isolation_level=None)
        self._con.execute("pragma journal_mode = off")
        self._con.execute("pragma synchronous = off")
        self._con.execute("begin")
        self._con.execute(_KEPT)
        self._con.execute(_OWNER)
        self._con.execute("delete from owner")
        if owner is not None:
            self._con.execute("insert into owner values (?, ?, ?)", (*owner, FORMAT))
        self._lookups = lookups
        self._known = dict(self._con.execute("select name, definition from lookups").fetchall())
        for table in set(self._known) - {each.table for each in lookups}:
            self._forget(table)

    def close(self) -> None:
        """Commit, and leave a file that others can read in place."""
        self._con.commit()
        self._con.close()

    def stay(self, con: duckdb.DuckDBPyConnection, mart: str, relation: str) -> None:
        """Make the look-ups of a mart that has not changed, where they are missing."""
        for lookup in self._of(mart):
            if self._known.get(lookup.table) != lookup.definition:
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
            if self._known.get(lookup.table) != lookup.definition or not self._change(
                con, lookup, gone, alive
            ):
                self._rebuild(con, lookup, relation)

    def _of(self, mart: str) -> list[Lookup]:
        return [each for each in self._lookups if each.mart == mart]

    def _change(
        self, con: duckdb.DuckDBPyConnection, lookup: Lookup, gone: str, alive: str
    ) -> bool:
        """Return whether every row that is gone was there, and none of those that came."""
        size = lookup.key_size
        same = " and ".join(f"{identifier(c)} = ?" for c in lookup.all_columns[:size])
        deleted = expected = 0
        for rows in _chunks(con, lookup, gone):
            done = self._con.executemany(
                f"delete from {identifier(lookup.table)} where {same}", (r[:size] for r in rows)
            )
            deleted, expected = deleted + done.rowcount, expected + len(rows)
        try:
            self._insert(con, lookup, alive)
        except sqlite3.IntegrityError:
            return False
        return deleted == expected

    def _rebuild(self, con: duckdb.DuckDBPyConnection, lookup: Lookup, relation: str) -> None:
        self._forget(lookup.table)
        columns = ", ".join(identifier(column) for column in lookup.all_columns)
        key = ", ".join(identifier(c) for c in lookup.all_columns[: lookup.key_size])
        table = identifier(lookup.table)
        self._con.execute(f"create table {table} ({columns}, primary key ({key})) without rowid")
        try:
            self._insert(con, lookup, relation)
        except sqlite3.IntegrityError:
            same = " and ".join(lookup.all_columns[: lookup.key_size])
            raise lookup.wrong(f"cannot be made: two rows have the same {same}") from None
        self._con.execute("insert into lookups values (?, ?)", (lookup.table, lookup.definition))

    def _insert(self, con: duckdb.DuckDBPyConnection, lookup: Lookup, relation: str) -> None:
        marks = ", ".join("?" for _ in lookup.all_columns)
        statement = f"insert into {identifier(lookup.table)} values ({marks})"
        for rows in _chunks(con, lookup, relation):
            self._con.executemany(statement, rows)

    def _forget(self, table: str) -> None:
        self._con.execute(f"drop table if exists {identifier(table)}")
        self._con.execute("delete from lookups where name = ?", (table,))


def _chunks(
    con: duckdb.DuckDBPyConnection, lookup: Lookup, relation: str
) -> Iterator[list[tuple[Any, ...]]]:
    """Return what is kept of the rows of a relation, in chunks.

    Raises:
        ReleaseError: the query that the look-up comes to is wrong, or a value cannot be kept.
    """
    try:
        reading = con.execute(lookup.query(relation))
        while rows := reading.fetchmany(_ROWS_AT_ONCE):
            yield rows
    except (duckdb.ProgrammingError, duckdb.DataError) as error:
        said = str(error).splitlines()[0].partition(": ")[2].rstrip(".")
        raise lookup.wrong(f"cannot be made: {said}") from None
