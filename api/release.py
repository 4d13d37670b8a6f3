"""The release that is served: its look-ups, its public marts, and how far they can be trusted."""

import logging
import sqlite3
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import format_datetime
from functools import cached_property
from typing import Any

import duckdb
import orjson
import polars as pl

from api.problems import ProblemError
from boathouse.errors import BoathouseError, ReleaseError
from boathouse.release import lookups
from boathouse.release.lookups import Lookup
from boathouse.release.lookups.values import has_form
from boathouse.release.reading import OpenRelease, Warehouse
from boathouse.settings import Settings
from boathouse.sql import identifier

_log = logging.getLogger("boathouse.api")


@dataclass(frozen=True)
class Column:
    """A column of a mart."""

    name: str
    type: str  # DuckDB's; VARCHAR for what has no form of its own in answers
    description: str
    is_text: bool = False  # has to be made VARCHAR first


def _column(name: str, kind: str, description: str) -> Column:
    if has_form(kind):
        return Column(name, kind, description)
    return Column(name, "VARCHAR", description, is_text=True)


@dataclass(frozen=True)
class AsOf:
    """The table macro that tells a mart as of a day; `columns` are named otherwise in it."""

    macro: str
    columns: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Mart:
    """A public mart: what may be asked of it."""

    name: str
    domain: str
    description: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]  # empty when no columns of it are unique
    filters: tuple[str, ...]
    order: tuple[tuple[str, bool], ...]  # column, whether downwards
    also_at: str  # a second path, such as `purchases`; empty without one
    as_of: AsOf | None
    lookups: tuple[Lookup, ...] = ()

    @property
    def relation(self) -> str:
        """Return SQL for its rows, with the types that the API knows."""
        name = f"marts.{identifier(self.name)}"
        texts = [identifier(each.name) for each in self.columns if each.is_text]
        if not texts:
            return name
        made = ", ".join(f"cast({each} as varchar) as {each}" for each in texts)
        return f"(select * replace ({made}) from {name})"

    def lookup_path(self, lookup: Lookup) -> str:
        """Return where a look-up of the mart is, but for the value."""
        return f"/marts/{self.name}/by/{lookup.name}"

    def only(self, names: Iterable[str]) -> "Mart":
        """Return the mart as if it had these columns alone."""
        wanted = set(names)
        return replace(self, columns=tuple(each for each in self.columns if each.name in wanted))

    def type_of(self, column: str) -> str:
        """Return the DuckDB type of a column."""
        return next(each.type for each in self.columns if each.name == column)


@dataclass(frozen=True)
class _Source:
    """When a source was loaded, and how old that may be, in hours."""

    domain: str
    loaded_at: datetime | None
    warn_after: float | None
    error_after: float | None

    def state(self, now: datetime) -> int:
        """Return 0 for fresh, 1 for stale, 2 for late."""
        if self.loaded_at is None:
            return 0
        hours = (now - self.loaded_at).total_seconds() / 3600
        if self.error_after is not None and hours > self.error_after:
            return 2
        return int(self.warn_after is not None and hours > self.warn_after)


class Served(OpenRelease):
    """An open release, and what the API has to know of it."""

    def prepare(self) -> "Served":
        """Read what requests need, and return the release itself.

        Without its look-ups, only requests that need them fail.

        Raises:
            ReleaseError: it does not hold what the API reads.
        """
        try:
            _ = self.marts, self.tests, self._sources
        except (duckdb.CatalogException, duckdb.BinderException) as error:
            raise ReleaseError(
                f"Release {self.release_id} was made by another version of Boathouse: "
                + str(error).partition("\n")[0],
                hint="Make a new one with `make warehouse`.",
            ) from error
        with suppress(sqlite3.Error, ReleaseError):
            _ = self.lookups
        return self

    @cached_property
    def mark(self) -> str:
        """Return what tells this release from any other with its number."""
        return format(int(self.released_at.timestamp() * 1e6), "x")

    @cached_property
    def moment(self) -> str:
        """Return when it was released (RFC 3339)."""
        return f"{self.released_at:%Y-%m-%dT%H:%M:%SZ}"

    @cached_property
    def last_modified(self) -> str:
        """Return when it was released, as HTTP writes it."""
        return format_datetime(self.released_at.replace(tzinfo=UTC), usegmt=True)

    @cached_property
    def marts(self) -> dict[str, Mart]:
        """Return the public marts by name."""
        rows = self.con.cursor().execute(
            """
            select api.mart, api.domain, api.description, api.unique_columns, api.api,
                list([columns.column_name, columns.data_type, coalesce(columns.comment, '')]
                    order by columns.column_index)
            from meta.api as api
            inner join duckdb_columns() as columns
                on columns.database_name = current_database()
                and columns.schema_name = 'marts'
                and columns.table_name = api.mart
            group by all
            order by api.mart
            """
        )
        marts = [_mart(*row) for row in rows.fetchall()]
        offered: list[Lookup] = []
        with suppress(sqlite3.Error):  # without them, all else is served
            offered = [each for each in self.lookups.lookups if each.types]
        return {
            mart.name: replace(mart, lookups=tuple(e for e in offered if e.mart == mart.name))
            for mart in marts
        }

    @cached_property
    def schemas(self) -> dict[Lookup, pl.Schema]:
        """Return what is known already of the columns that look-ups are answered with."""
        return {}

    @cached_property
    def lookups(self) -> lookups.Reader:
        """Return the look-ups beside it."""
        return lookups.Reader(lookups.beside(self.path), (self.lake, self.release_id))

    @cached_property
    def tests(self) -> str:
        """Return the worst state of its tests: `passed`, `warned` or `failed`."""
        rows = self.con.cursor().execute("select distinct status from meta.test_results")
        found = {status for (status,) in rows.fetchall()}
        if found & {"fail", "error"}:
            return "failed"
        return "warned" if "warn" in found else "passed"

    def freshness(self, domain: str, now: datetime) -> str:
        """Return `fresh`, `stale` or `late`: the worst of a domain's sources, by their policies."""
        sources = self._sources.get(domain, ())
        return ("fresh", "stale", "late")[max((each.state(now) for each in sources), default=0)]

    @cached_property
    def _sources(self) -> Mapping[str, list[_Source]]:
        rows = self.con.cursor().execute(
            """
            select sources.domain, fresh.last_loaded_at, warn_after_hours, error_after_hours
            from meta.sources as sources
            inner join meta.source_freshness as fresh on fresh.source = sources.source
            """
        )
        found: dict[str, list[_Source]] = {}
        for row in rows.fetchall():
            found.setdefault(row[0], []).append(_Source(*row))
        return found


def _mart(
    name: str, domain: str, description: str, key: list[str], api: str, columns: list[list[str]]
) -> Mart:
    asked: dict[str, Any] = orjson.loads(api) or {}
    names = [column for column, _, _ in columns]
    unique = tuple(asked.get("key", key))
    order = [
        (column.removeprefix("-"), column.startswith("-")) for column in asked.get("order", [])
    ]
    # Rows need one order and no other, or pages would overlap.
    rest = [column for column in unique or names if column not in dict(order)]
    filters = tuple(asked.get("filters", []))
    as_of = asked.get("as_of")
    mart = Mart(
        name=name,
        domain=domain,
        description=description,
        columns=tuple(_column(*each) for each in columns),
        key=unique,
        filters=filters,
        order=(*order, *((column, False) for column in rest)),
        also_at=asked.get("also_at", ""),
        as_of=as_of and AsOf(as_of["macro"], tuple(sorted(as_of.get("columns", {}).items()))),
    )
    unknown = [c for c in (*unique, *filters, *dict(mart.order)) if c not in names]
    if unknown:
        raise ReleaseError(
            f"The API's {name} names {unknown[0]}, which the mart does not have.",
            hint="Mend meta.api in the model's YAML, and make a new release.",
        )
    return mart


class Releases:
    """The releases of one home: the current one as it changes, and earlier ones for cursors."""

    def __init__(self, settings: Settings) -> None:
        self._warehouse = Warehouse(settings, Served, "api")
        self._seen: tuple[int, ...] | None = None
        self.problem = "There is no release yet. Run `make warehouse`; it is served at once."

    def look(self) -> Served | None:
        """Return the current release if it is another one than before, else None.

        When it cannot be read, `problem` says why.
        """
        try:
            seen = self._warehouse.mark()
            if seen == self._seen:
                return None
            found = self._warehouse.current().prepare()
        except Exception as error:
            # Whatever is in its place: requests are served from what was good.
            said = f"{error}".replace("\n", " ") or type(error).__name__
            if said != self.problem:
                _log.error("no other release can be served", extra={"error": said})
            self.problem = said
            return None
        self._seen = seen
        self.problem = ""
        return found

    def kept(self, release_id: int, mark: str) -> Served:
        """Return the release that a page sequence began in.

        Raises:
            ProblemError: 410, it is no longer kept.
        """
        with suppress(BoathouseError, OSError, sqlite3.Error):
            earlier = self._warehouse.kept(release_id)
            if earlier.mark == mark:
                return earlier.prepare()
        raise ProblemError(
            410,
            f"This cursor belongs to release {release_id}, which is no longer kept. Begin again "
            "without `cursor`; pages never mix two releases.",
        )
