"""Deleting files: of the lake, once nothing needs them, and what killed processes left behind.

The only place where a file of the lake is deleted. It keeps out of the way of a backup, which
copies files that a snapshot from before maintenance needs.
"""

import os
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from boathouse import identity, lake_files, lock
from boathouse.checkpoints import reached
from boathouse.errors import LakeError
from boathouse.lake import Lake
from boathouse.release import files as release_files
from boathouse.settings import Settings
from boathouse.sql import literal

_KEPT_WORK = ("sql_history",)
_DAY_SECONDS = 24 * 3600
_SHOWN = 10


@dataclass(frozen=True)
class Removed:
    """Files of the lake that were deleted, or would be; `bytes` is 0 for an object store."""

    unused: tuple[str, ...] = ()
    orphans: tuple[str, ...] = ()
    bytes: int = 0
    postponed: str = ""  # why nothing was deleted


def files_lock(settings: Settings) -> FileLock:
    """Return the lock that a backup holds while no file of the lake may go."""
    settings.home_folder.mkdir(parents=True, exist_ok=True)
    return FileLock(settings.home_folder / "backup.lock")


def remove_files(lake: Lake, settings: Settings, *, dry_run: bool) -> Removed:
    """Delete the lake's files that no snapshot needs, and those that no catalogue knows.

    Both only when they are older than `BOATHOUSE_KEEP_FILES_HOURS`, for queries that began
    before. The names are asked for first and held against what the catalogue refers to.

    Raises:
        LakeError: a file that is in use would be deleted; none was.
        IdentityError: the files are not of the catalogue's own lake; none was deleted.
    """
    guard = files_lock(settings)
    try:
        guard.acquire(timeout=0)
    except Timeout:
        return Removed(postponed="A backup is being made; unused files go next time.")
    try:
        return _remove(lake, settings, dry_run)
    finally:
        guard.release()


def _remove(lake: Lake, settings: Settings, dry_run: bool) -> Removed:
    identity.require_one_lake(lake.con, settings)
    if not dry_run:
        _disown(lake, settings)
    unused = [
        path
        for path in _ask(lake, settings, "ducklake_cleanup_old_files", dry_run=True)
        if is_ours(path, settings)
    ]
    orphans = _ask(lake, settings, "ducklake_delete_orphaned_files", dry_run=True)
    require_unused([*unused, *orphans], lake_files.referenced(lake, settings))
    size = sum(_size(path) for path in {*unused, *orphans})
    if not dry_run:
        lock.require(settings)
        if unused:
            _ask(lake, settings, "ducklake_cleanup_old_files")
        reached("maintain:unused-removed")
        if orphans:
            _ask(lake, settings, "ducklake_delete_orphaned_files")
    return Removed(tuple(unused), tuple(orphans), size)


def is_ours(path: str, settings: Settings) -> bool:
    """Return whether a file lies where this lake keeps its files."""
    if lake_files.is_local(settings):
        path = os.path.normpath(path)
    return path.startswith(settings.data_path.rstrip("/") + "/")


def _disown(lake: Lake, settings: Settings) -> None:
    """Forget files elsewhere that are no longer used: the original of a copied lake has them."""
    scheduled = "__ducklake_metadata_lake.ducklake_files_scheduled_for_deletion"
    paths = lake.rows(f"select path from {scheduled} where not path_is_relative")
    for path in (path for (path,) in paths if not is_ours(path, settings)):
        lake.con.execute(
            f"delete from {scheduled} where path = {literal(path)} and not path_is_relative"
        )


def _ask(lake: Lake, settings: Settings, function: str, *, dry_run: bool = False) -> list[str]:
    age = f"now() - to_minutes({round(settings.keep_files_hours * 60)})"
    query = f"call {function}('lake', dry_run => {str(dry_run).lower()}, older_than => {age})"
    return sorted(path for (path,) in lake.rows(query))


def require_unused(named: list[str], referenced: list[lake_files.LakeFile]) -> None:
    """Do nothing when no file that is going to be deleted is in use.

    Raises:
        LakeError: names those that are.
    """
    wanted = {os.path.normpath(file.path): file.table for file in referenced}
    wrong = [path for path in named if os.path.normpath(path) in wanted]
    if wrong:
        lines = [f"  {wanted[os.path.normpath(path)]}: {path}" for path in wrong[:_SHOWN]]
        raise LakeError(
            f"{len(wrong)} files that the catalogue refers to would have been deleted:\n"
            + "\n".join(lines),
            hint="No file was deleted. This is a defect to report; the lake goes on working.",
        )


def _size(path: str) -> int:
    try:
        return Path(path).stat().st_size
    except OSError:  # in an object store, or gone already
        return 0


def remove_leftovers(settings: Settings, *, dry_run: bool) -> list[str]:
    """Delete what killed processes and old logs left in the home; return the paths below it.

    Called by the one writer, so that no writer's folder is in use.
    """
    found = sorted(_leftovers(settings))
    if not dry_run:
        release_files.tidy(settings)
        for path in found:
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    return [path.relative_to(settings.home_folder).as_posix() for path in found]


def _leftovers(settings: Settings) -> Iterator[Path]:
    home = settings.home_folder
    yield from home.glob(".warehouse.*.tmp")
    yield from release_files.leftovers(settings)
    yield from (path for path in home.glob("writer.*") if path.suffix[1:].isdecimal())
    for folder in (settings.archive_folder, settings.rejected):
        yield from folder.rglob(".moving")
    # A query that only reads may be using its part of the work folder.
    yield from (
        path
        for path in settings.work.glob("*")
        if path.name not in _KEPT_WORK and _is_older(_DAY_SECONDS)(path)
    )
    # dbt goes on writing to dbt.log; the others it has set aside.
    old_log = _is_older(settings.keep_logs_days * _DAY_SECONDS)
    yield from filter(old_log, (home / "dbt" / "logs").glob("dbt.log.*"))


def _is_older(seconds: float) -> Callable[[Path], bool]:
    return lambda path: path.lstat().st_mtime < time.time() - seconds
