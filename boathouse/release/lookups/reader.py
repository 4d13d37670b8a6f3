"""Reading the look-ups of a release."""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from boathouse.errors import ReleaseError
from boathouse.identity import FORMAT
from boathouse.release.lookups.definition import Lookup
from boathouse.sql import identifier

Owner = tuple[str | None, int]  # a lake's identity, and a release
_LONG_AGO = -(2**63)


def beside(release: Path) -> Path:
    """Return where the look-ups of a release are, given the path of its own file."""
    return release.with_name(release.name.replace(".duckdb", ".lookups.sqlite"))


def definitions(path: Path, owner: Owner | None = None) -> dict[str, str]:
    """Return table and definition of the look-ups in a file, to which others may be added.

    Empty when there is no such file, it is of another lake or release than `owner`, or another
    version has written it.
    """
    if not path.exists():
        return {}
    try:
        with closing(_opened(path)) as con:
            told = con.execute("select lake, release_id, format from owner").fetchall()
            if owner is not None and told != [(*owner, FORMAT)]:
                return {}
            return dict(con.execute("select name, definition from lookups").fetchall())
    except sqlite3.Error:
        return {}


class Reader:
    """The look-ups of one release, read in place. To be used by one thread at a time."""

    def __init__(self, path: Path, owner: Owner | None = None) -> None:
        """Open the file at `path`; `owner` is the lake and the release that it must be of.

        Raises:
            ReleaseError: it is of another one.
        """
        self._con = _opened(path)
        if not _is_of(self._con, owner):
            raise ReleaseError(
                f"The look-ups in {path} are of another release, or of a newer version.",
                hint="`boathouse release` makes them anew.",
            )
        stored = self._con.execute("select name, definition from lookups").fetchall()
        found = [(Lookup.of(definition), table) for table, definition in stored]
        self.lookups = [lookup for lookup, _ in found]
        self._queries = {
            (lookup.mart, lookup.name): _Queries.of(lookup, table) for lookup, table in found
        }

    def newest(
        self,
        mart: str,
        name: str,
        value: Any,
        limit: int,
        *,
        since: int = _LONG_AGO,
        before: Sequence[Any] = (),
    ) -> list[tuple[Any, ...]]:
        """Return what is kept of rows with a value, newest first: value, time, key, the rest.

        Args:
            mart: The mart.
            name: The look-up.
            value: What is kept of its `by`; see `values.sought`.
            limit: Most rows to return.
            since: Only rows from this time on, in microseconds since 1970.
            before: Time and key, or only the time: rows that come after it in this order.

        Raises:
            ReleaseError: this release has no such look-up.
        """
        queries = self._queries.get((mart, name))
        if queries is None:
            raise ReleaseError(
                f"The release has no look-up {name} of {mart}.",
                hint="Put it into the mart's meta.lookups, and release again.",
            )
        query = queries.starting(len(before))
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
    def of(lookup: Lookup, table: str) -> "_Queries":
        names = map(identifier, [lookup.newest, *lookup.key])
        return _Queries(identifier(table), identifier(lookup.by), tuple(names))

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


def _is_of(con: sqlite3.Connection, owner: Owner | None) -> bool:
    """Return whether look-ups are of a lake and a release; those from before said neither."""
    if not con.execute("select 1 from sqlite_master where name = 'owner'").fetchall():
        return True
    told = con.execute("select lake, release_id, format from owner").fetchall()
    return all(
        written <= FORMAT and owner in (None, (lake, release_id))
        for lake, release_id, written in told
    )


def _opened(path: Path) -> sqlite3.Connection:
    # `immutable`: it never changes in place, so no lock and no journal has to be looked at.
    address = f"{path.absolute().as_uri()}?mode=ro&immutable=1"
    return sqlite3.connect(address, uri=True, check_same_thread=False)
