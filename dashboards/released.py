"""The released files, opened read-only: which one is current, and queries on one of them.

A release is opened under its own name, `releases/<n>.duckdb`, and stays open while a page shows
it, so that nothing a page shows comes from another release, even when the file is pruned.
"""

import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path

import duckdb
import polars as pl
import streamlit as st

from boathouse.errors import BoathouseError, ReleaseError
from boathouse.release import current_release
from boathouse.settings import Settings

QUERIES = Path(__file__).with_name("queries")
RELEASES_OPEN = 3
FRAMES_KEPT = 1000

Value = str | int | float | bool | date | datetime | list[str] | None


class NoReleaseError(BoathouseError):
    """There is nothing to show yet."""


class QueryFailedError(BoathouseError):
    """A page's query could not be answered by this release."""


@dataclass(frozen=True)
class Release:
    """An open release. `key` is equal for two of them only if they are the same file."""

    key: tuple[str, int, int]
    release_id: int
    released_at: datetime  # UTC
    path: Path
    con: duckdb.DuckDBPyConnection = field(repr=False, compare=False)
    tables: frozenset[str]  # of schema marts, with its table macros

    def query(self, name: str, **parameters: Value) -> pl.DataFrame:
        """Return the rows of `queries/<name>.sql`, from the cache if they were asked for before.

        Parameters are bound by name; those that the query does not use are left out, so that
        all of a page's queries take the page's filters as they are.

        Raises:
            QueryFailedError: the release lacks what the query reads, or memory is short.
        """
        sql = _text(name)
        used = _used_parameters(sql)
        bound = tuple((each, _frozen(parameters[each])) for each in sorted(used))
        return _frame(self.key, name, bound, self)

    def run(self, sql: str, parameters: Mapping[str, Value]) -> pl.DataFrame:
        """Return the rows of a query."""
        cursor = self.con.cursor()
        try:
            return cursor.execute(sql, dict(parameters) or None).pl()
        except duckdb.Error as error:
            raise QueryFailedError(
                f"Release {self.release_id} cannot answer this: {error}",
                hint="Run `make warehouse` to make a new release from the current models.",
            ) from error
        finally:
            cursor.close()


def _frozen(value: Value) -> Value | tuple[str, ...]:
    return tuple(value) if isinstance(value, list) else value


@st.cache_resource(max_entries=FRAMES_KEPT, show_spinner=False)
def _frame(
    key: tuple[str, int, int],  # noqa: ARG001 (part of what the cache goes by)
    name: str,
    parameters: tuple[tuple[str, Value | tuple[str, ...]], ...],
    _release: Release,
) -> pl.DataFrame:
    bound = {each: list(v) if isinstance(v, tuple) else v for each, v in parameters}
    return _release.run(_text(name), bound)


@st.cache_resource(show_spinner=False)
def _text(name: str) -> str:
    return (QUERIES / f"{name}.sql").read_text(encoding="utf-8")


@st.cache_resource(show_spinner=False)
def _used_parameters(sql: str) -> frozenset[str]:
    (statement,) = duckdb.extract_statements(sql)
    return frozenset(statement.named_parameters)


class Warehouse:
    """The released files of one home. Safe to use from many threads."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._lock = threading.Lock()
        self._open: OrderedDict[tuple[str, int, int], Release] = OrderedDict()
        self._current: tuple[tuple[int, ...], Release] | None = None

    def current(self) -> Release:
        """Return the release that readers see now.

        Raises:
            NoReleaseError: nothing has been released yet, or the file has vanished.
            ReleaseError: the file is no released file, or is broken.
        """
        with self._lock:
            mark = self.mark()
            if self._current is None or self._current[0] != mark:
                self._current = mark, self._find_current()
            return self._current[1]

    def mark(self) -> tuple[int, ...]:
        """Return what changes whenever another file becomes the current release.

        Raises:
            NoReleaseError: there is none.
        """
        try:
            stat = self.settings.warehouse.stat()
        except OSError:
            raise NoReleaseError(
                f"There is no release yet: {self.settings.warehouse} does not exist.",
                hint="Run `make warehouse`; this page shows the data as soon as it is there.",
            ) from None
        return stat.st_ino, stat.st_mtime_ns, stat.st_size

    def kept(self, release_id: int) -> Release:
        """Return an earlier release that is still kept.

        Raises:
            ReleaseError: it is not kept, or cannot be read.
        """
        path = self.settings.releases / f"{release_id}.duckdb"
        with self._lock:
            return self._opened(path)

    def kept_ids(self) -> list[int]:
        """Return the ids of the kept releases, newest first."""
        stems = (path.stem for path in self.settings.releases.glob("*.duckdb"))
        return sorted((int(stem) for stem in stems if stem.isdecimal()), reverse=True)

    def _find_current(self) -> Release:
        info = current_release(self.settings)
        if info is None:
            raise NoReleaseError("There is no release yet.", hint="Run `make warehouse`.")
        return self._opened(info.path)

    def _opened(self, path: Path) -> Release:
        try:
            stat = path.stat()
            key = (str(path), stat.st_ino, stat.st_mtime_ns)
            if key not in self._open:
                self._open[key] = _open(path, key, self.settings)
        except (OSError, duckdb.Error, IndexError) as error:
            raise ReleaseError(
                f"The released file {path} cannot be read: {error}",
                hint="Put another one back with `boathouse rollback`, or make a new release with "
                "`make warehouse`.",
            ) from error
        self._open.move_to_end(key)
        while len(self._open) > RELEASES_OPEN:
            self._open.popitem(last=False)  # closed when the last page that shows it is done
        return self._open[key]


def _open(path: Path, key: tuple[str, int, int], settings: Settings) -> Release:
    con = duckdb.connect(
        str(path),
        read_only=True,
        config={
            "threads": settings.threads,
            "memory_limit": settings.memory_limit,
            "temp_directory": str(settings.work / "dashboard" / "spilled"),
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
        },
    )
    _lock(con)
    release_id, released_at = con.execute(
        "select release_id, released_at from meta.release"
    ).fetchall()[0]
    found = con.execute(
        "select table_name from duckdb_tables() where schema_name = 'marts' union all "
        "select function_name from duckdb_functions() where schema_name = 'marts'"
    ).fetchall()
    return Release(key, release_id, released_at, path, con, frozenset(name for (name,) in found))


def _lock(con: duckdb.DuckDBPyConnection) -> None:
    """Close every way out of the database; it is closed already when a page still has it open."""
    if con.execute("select current_setting('lock_configuration')").fetchall() == [(True,)]:
        return
    con.execute("set global timezone = 'UTC'")
    con.execute("set global enable_external_access = false")
    con.execute("set global lock_configuration = true")


@st.cache_resource(show_spinner=False)
def warehouse(_settings: Settings, home: str) -> Warehouse:  # noqa: ARG001 (the cache's key)
    """Return the one `Warehouse` of this process for a home."""
    return Warehouse(_settings)
