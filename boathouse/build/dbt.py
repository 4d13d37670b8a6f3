"""dbt in this process: the only module that runs it.

dbt is imported when it is first needed: that alone takes two seconds, which commands that do
not build should not pay.
"""

import threading
import time
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from boathouse import lake, lock
from boathouse.build.lean import make_lean
from boathouse.errors import BoathouseError, BuildError, chain
from boathouse.settings import Settings

# A connection takes a few MB more with each build, which it gives back only when it is closed.
MOST_BUILDS = 10
_QUIET = ("--quiet", "--log-level", "none", "--no-use-colors")


@dataclass(frozen=True)
class Folders:
    """Where dbt keeps what it writes: out of the repository, in the home it works for."""

    settings: Settings

    @property
    def target(self) -> Path:
        """Return the folder of the manifest and of the compiled SQL."""
        return self.settings.home_folder / "dbt" / "target"

    @property
    def logs(self) -> Path:
        """Return the folder of dbt's own log."""
        return self.settings.home_folder / "dbt" / "logs"

    @property
    def manifest(self) -> Path:
        """Return the manifest that dbt wrote when it last parsed the project."""
        return self.target / "manifest.json"

    @property
    def compiled(self) -> Path:
        """Return the folder of the SQL as it was run."""
        return self.target / "compiled"

    def arguments(self) -> list[str]:
        """Return the options that tell dbt about these folders."""
        project = str(self.settings.project.absolute())
        return [
            *("--project-dir", project, "--profiles-dir", project),
            *("--target-path", str(self.target), "--log-path", str(self.logs)),
        ]


def invoke(
    command: str,
    options: Sequence[str],
    settings: Settings,
    *,
    manifest: Any = None,
    on_event: Callable[[Any], None] | None = None,
) -> Any:
    """Run one dbt command and return what it came to: results, or a manifest for `parse`.

    Nodes that fail are no error here; whoever reads the results judges.

    Raises:
        BuildError: dbt could not run at all: the project does not parse, the lake cannot be
            opened; says what dbt said.
        KeyboardInterrupt: a person stopped it.
    """
    from dbt.cli.main import dbtRunner

    make_lean()
    folders = Folders(settings)
    callbacks = [on_event] if on_event else []
    ran = dbtRunner(manifest, callbacks).invoke([*_QUIET, command, *folders.arguments(), *options])
    if ran.exception is not None:
        raise _as_expected(ran.exception, folders) from ran.exception
    return ran.result


def _as_expected(error: BaseException, folders: Folders) -> BaseException:
    """Return the error a person should see for one that dbt gave up with."""
    for each in chain(error):
        if isinstance(each, BoathouseError | KeyboardInterrupt | SystemExit):
            return each
    said = str(error).strip() or type(error).__name__
    return BuildError(
        f"dbt could not run: {said}", hint=f"dbt's own log: {folders.logs / 'dbt.log'}"
    )


@dataclass(frozen=True)
class _KeptOpen:
    """dbt's connection as the last build of this process has left it."""

    settings: Settings
    manifest: Any
    build_id: int
    token: int | None  # of the lock it was opened under: no other one lets it write
    builds: int  # that it has seen


_kept: _KeptOpen | None = None


def keep_connection(settings: Settings, manifest: Any, build_id: int) -> None:
    """Leave dbt's connection open for the next build with these settings and this manifest."""
    global _kept
    builds = _kept.builds + 1 if _kept else 1
    _kept = _KeptOpen(settings, manifest, build_id, lock.token(settings), builds)


def close_stale_connection(settings: Settings, manifest: Any) -> None:
    """Close dbt's connection unless it was kept for just this, and nobody has built since.

    Another build may have come from another version of the project; opening anew notes ours. One
    that has seen `MOST_BUILDS` is closed, too.
    """
    is_ours = (
        _kept is not None
        and manifest is not None
        and _kept.manifest is manifest
        and _kept.settings == settings
        and _kept.token == lock.token(settings)
        and _kept.builds < MOST_BUILDS
        and _kept.build_id == last_build()
    )
    if is_ours:
        lake.suit_threads(cursor(), settings)
    else:
        close_connection()


def close_connection() -> None:
    """Close dbt's connection to the lake, which it would keep open until the process ends."""
    global _kept
    _kept = None
    roll_back()
    from dbt.adapters.duckdb.connections import DuckDBConnectionManager

    environment = DuckDBConnectionManager._ENV
    if environment is not None:
        environment.close()
    DuckDBConnectionManager.close_all_connections()


def note_cursor(cursor: Any) -> None:
    """Remember a cursor that dbt has opened in this thread, for `roll_back`."""
    _cursors[cursor] = threading.get_ident()


def roll_back(*, of_this_thread: bool = False) -> None:
    """End the transactions that dbt's cursors have left open: see `lake.roll_back`.

    dbt does not know of those that began in a hook, and would close their cursors as they are.
    """
    here = threading.get_ident()
    for cursor, thread in list(_cursors.items()):
        if thread == here or not of_this_thread:
            lake.roll_back(cursor)


_cursors: "weakref.WeakKeyDictionary[Any, int]" = weakref.WeakKeyDictionary()


def selected() -> int:
    """Return how many nodes the command that is running was told to run."""
    from dbt import selected_resources

    return len(selected_resources.SELECTED_RESOURCES)


def last_build() -> int:
    """Return the id of the newest build in the lake that dbt is connected to; 0 without any."""
    found = cursor().execute("select coalesce(max(build_id), 0) from lake.meta.builds")
    return int(found.fetchall()[0][0])


def cursor() -> Any:
    """Return a cursor of the connection that dbt has open."""
    from dbt.adapters.duckdb.connections import DuckDBConnectionManager

    return DuckDBConnectionManager.env().conn.cursor()


class Stopwatch:
    """Seconds since it was made, and at the first and last moment somebody took."""

    def __init__(self) -> None:
        self._start = time.perf_counter()
        self.first: float | None = None
        self.last: float | None = None

    def take(self) -> None:
        """Remember this moment."""
        self.last = self.seconds
        if self.first is None:
            self.first = self.last

    @property
    def seconds(self) -> float:
        """Return the seconds since it was made."""
        return time.perf_counter() - self._start
