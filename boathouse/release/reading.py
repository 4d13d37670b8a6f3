"""The released files, opened to be read and nothing else: which one is current, and earlier ones.

A release is opened under its own name, `releases/<n>.duckdb`, and stays open while somebody uses
it, so that nothing they see comes from another release, even when the file is pruned.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Generic, TypeVar

import duckdb

from boathouse.errors import BoathouseError, ReleaseError
from boathouse.release import files
from boathouse.release.about import require_known
from boathouse.release.files import current_release, kept_ids, kept_path
from boathouse.settings import Settings
from boathouse.sql import first_row

KEPT_OPEN = 3

Key = tuple[str, int, int]


class NoReleaseError(BoathouseError):
    """There is nothing to show yet."""


@dataclass(frozen=True)
class OpenRelease:
    """An open release. `key` is equal for two of them only if they are the same file."""

    key: Key
    release_id: int
    released_at: datetime  # UTC
    path: Path
    con: duckdb.DuckDBPyConnection = field(repr=False, compare=False)
    tables: frozenset[str]  # of schema marts, with its table macros
    lake: str | None = None  # identity of the lake it is of; None from before there were any


R = TypeVar("R", bound=OpenRelease)


class Warehouse(Generic[R]):
    """The released files of one home. Safe to use from many threads."""

    def __init__(self, settings: Settings, make: Callable[..., R], reader: str) -> None:
        """Make one for a `reader`, whose queries spill into a folder of its own.

        `make` is `OpenRelease` or what the reader makes of it, called with the same arguments.
        """
        self.settings = settings
        self._make = make
        self._spill = settings.work / reader / "spilled"
        self._lock = threading.Lock()
        self._open: OrderedDict[Key, R] = OrderedDict()
        self._current: tuple[tuple[int, ...], R] | None = None

    def current(self) -> R:
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
            stat = self.settings.warehouse.lstat()
        except OSError:
            raise NoReleaseError(
                f"There is no release yet: {self.settings.warehouse} does not exist.",
                hint="Run `make warehouse`; the data is shown as soon as it is there.",
            ) from None
        return stat.st_ino, stat.st_mtime_ns, stat.st_size

    def kept(self, release_id: int) -> R:
        """Return an earlier release that is still kept.

        Raises:
            ReleaseError: it is not kept, or cannot be read.
        """
        with self._lock:
            return self._opened(kept_path(self.settings, release_id))

    def kept_ids(self) -> list[int]:
        """Return the ids of the kept releases, newest first."""
        return kept_ids(self.settings)[::-1]

    def _find_current(self) -> R:
        info = current_release(self.settings)
        if info is None:
            raise NoReleaseError("There is no release yet.", hint="Run `make warehouse`.")
        return self._opened(info.path)

    def _opened(self, path: Path) -> R:
        try:
            stat = path.stat()
            key = (str(path), stat.st_ino, stat.st_mtime_ns)
            if key not in self._open:
                self._open[key] = self._read(path, key)
        except (OSError, duckdb.Error, IndexError) as error:
            raise ReleaseError(
                f"The released file {path} cannot be read: {error}",
                hint="Put another one back with `boathouse rollback`, or make a new release with "
                "`make warehouse`.",
            ) from error
        self._open.move_to_end(key)
        while len(self._open) > KEPT_OPEN:
            self._open.popitem(last=False)  # closed when the last one who uses it is done
        return self._open[key]

    def _read(self, path: Path, key: Key) -> R:
        con = duckdb.connect(
            str(path),
            read_only=True,
            config={
                "threads": self.settings.threads,
                "memory_limit": self.settings.memory_limit,
                "temp_directory": str(self._spill),
                "autoinstall_known_extensions": False,
                "autoload_known_extensions": False,
            },
        )
        _close_ways_out(con)
        facts = first_row(con, "from meta.release")
        require_known(facts, path)
        lake = facts.get("lake")
        files.require_own(self.settings, lake, path)
        found = con.execute(
            "select table_name from duckdb_tables() where schema_name = 'marts' union all "
            "select function_name from duckdb_functions() where schema_name = 'marts'"
        ).fetchall()
        tables = frozenset(name for (name,) in found)
        return self._make(key, facts["release_id"], facts["released_at"], path, con, tables, lake)


def _close_ways_out(con: duckdb.DuckDBPyConnection) -> None:
    """Close every way out of the database; done already when somebody here has it open."""
    if con.execute("select current_setting('lock_configuration')").fetchall() == [(True,)]:
        return
    con.execute("set global timezone = 'UTC'")
    con.execute("set global enable_external_access = false")
    con.execute("set global lock_configuration = true")
