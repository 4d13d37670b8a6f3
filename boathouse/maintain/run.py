"""Maintenance from beginning to end, under the writer lock.

Every step is whole by itself and looks anew at what there is to do: killed at any instant, the
next maintenance finishes the work. Files are deleted last, after the proof that nothing changed.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from boathouse import catalog, lake, lake_files, lock
from boathouse.checkpoints import reached
from boathouse.compaction import compact, crowded
from boathouse.errors import LakeError
from boathouse.lake import Lake
from boathouse.maintain.counts import Counts, count, require_same, states
from boathouse.maintain.prune import prunable, prune
from boathouse.maintain.removal import Removed, remove_files, remove_leftovers
from boathouse.maintain.report import MaintenanceReport
from boathouse.maintain.snapshots import expirable, expire
from boathouse.settings import Settings
from boathouse.sql import identifier

COMMAND = "boathouse maintain"
_SHOWN = 10


@lock.starting_over
def maintain(
    settings: Settings,
    *,
    dry_run: bool = False,
    on_step: Callable[[str], None] | None = None,
) -> MaintenanceReport:
    """Keep the lake small and quick, change no row anybody can ask for, and say what was done.

    Flushes inlined rows, merges small files, deletes notes that nobody needs, expires snapshots
    that no kept release needs, and deletes files that are no longer used. Rows of every table
    are counted at the snapshots that stay, before and after.

    Args:
        settings: Which home.
        dry_run: Only say what would be done; waits for the writer lock all the same.
        on_step: Called with the name of each step when it begins.

    Raises:
        LakeError: there is no lake; a count is not what it was; a file in use would have been
            deleted, or is missing. No file was deleted then.
        LockTimeoutError: another writer was not done in time.
    """
    with lock.writer(settings, COMMAND):
        if not lake.exists(settings):
            raise LakeError(
                f"There is no lake in {settings.home_folder} yet.",
                hint="Run `boathouse run` first.",
            )
        with lake.connect(settings) as opened:
            if not catalog.has_meta(opened):
                raise LakeError(
                    f"The lake in {settings.home_folder} holds nothing yet.",
                    hint="Run `boathouse run` first.",
                )
            return _Maintenance(opened, settings, dry_run, on_step or (lambda _: None)).run()


class _Maintenance:
    """One call of `maintain`."""

    def __init__(
        self, opened: Lake, settings: Settings, dry_run: bool, tell: Callable[[str], None]
    ) -> None:
        self._lake = opened
        self._settings = settings
        self._dry_run = dry_run
        self._tell = tell
        self._seconds: dict[str, float] = {}

    def run(self) -> MaintenanceReport:
        """Do everything, or say what would be done."""
        with self._step("leftovers"):
            leftovers = remove_leftovers(self._settings, dry_run=self._dry_run)
        expired, kept = expirable(self._lake, self._settings)
        flushed = inlined_rows(self._lake)
        crowd = crowded(self._lake)
        pruned = prunable(self._lake, self._settings)
        counted: Counts = {}
        if not self._dry_run:
            with self._step("count"):
                counted = count(self._lake, states(self._lake, kept))
            with self._step("flush"):
                flush(self._lake, flushed)
            reached("maintain:flushed")
            with self._step("compact"):
                crowd = compact(self._lake)
            with self._step("prune"):
                prune(self._lake, pruned)
            with self._step("expire"):
                expire(self._lake, expired)
            reached("maintain:expired")
            with self._step("compare"):
                require_same(counted, count(self._lake, counted))
        with self._step("remove"):
            removed = self._remove()
        return MaintenanceReport(
            dry_run=self._dry_run,
            flushed=flushed,
            compacted=tuple(f"{each.schema}.{each.table}" for each in crowd),
            pruned={each.table: each.rows for each in pruned},
            snapshots_expired=len(expired),
            snapshots_kept=len(kept),
            files_removed=len(removed.unused),
            orphans_removed=removed.orphans,
            leftovers_removed=tuple(leftovers),
            bytes_freed=removed.bytes,
            counts_compared=len(counted),
            postponed=removed.postponed,
            seconds=self._seconds,
        )

    def _remove(self) -> Removed:
        if lake_files.is_local(self._settings):
            damaged = lake_files.damaged(lake_files.referenced(self._lake, self._settings))
            if damaged:
                raise LakeError(
                    f"{len(damaged)} files of the lake are missing or damaged:\n  "
                    + "\n  ".join(map(str, damaged[:_SHOWN])),
                    hint="No file was removed. `boathouse doctor` says what to do about each.",
                )
        return remove_files(self._lake, self._settings, dry_run=self._dry_run)

    @contextmanager
    def _step(self, name: str) -> Iterator[None]:
        self._tell(name)
        start = time.monotonic()
        yield
        self._seconds[name] = time.monotonic() - start


def inlined_rows(lake: Lake) -> dict[str, int]:
    """Return how many rows of each table are in the catalogue and not in a file."""
    tables = lake.rows(
        """
        select schemas.schema_name || '.' || tables.table_name, inlined.table_name
        from __ducklake_metadata_lake.ducklake_inlined_data_tables as inlined
        inner join __ducklake_metadata_lake.ducklake_table as tables
            on inlined.table_id = tables.table_id and tables.end_snapshot is null
        inner join __ducklake_metadata_lake.ducklake_schema as schemas
            on tables.schema_id = schemas.schema_id and schemas.end_snapshot is null
        order by all
        """
    )
    found: dict[str, int] = {}
    for table, inlined in tables:
        name = f"__ducklake_metadata_lake.{identifier(inlined)}"
        rows = int(lake.value(f"select count(*) from {name} where end_snapshot is null"))
        if rows:
            found[table] = found.get(table, 0) + rows
    return found


def flush(lake: Lake, tables: dict[str, int]) -> None:
    """Move the rows that are in the catalogue into files."""
    if tables:
        lake.con.execute("call ducklake_flush_inlined_data('lake')")
