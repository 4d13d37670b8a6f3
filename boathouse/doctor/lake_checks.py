"""The write side: who writes, and whether catalogue and files are whole."""

import os
import socket
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from boathouse import catalog, disk, identity, lake_files, lake_place, lock
from boathouse.backup.catalog_copy import check_catalog as integrity_problem
from boathouse.doctor.findings import Finding
from boathouse.lake import Lake
from boathouse.release import held_back
from boathouse.settings import Settings
from boathouse.status import find_last_build
from boathouse.surroundings import tells_of_full_disk

_LONG_HOURS = 6
# What a writer has just written is in no catalogue before it commits.
_YOUNG_SECONDS = 3600
_SHOWN = 3
_UPGRADING = "See “Upgrading” in docs/operations.md; `boathouse backup` before it is a way back."
_RESTORE = "Put the last backup back: `boathouse restore <backup> --overwrite`."


def check_lock(settings: Settings) -> Iterator[Finding]:
    """Look at the writer lock of this machine, without taking it for longer than an instant."""
    if settings.postgres is not None:
        return  # the catalogue knows who writes: `check_shared_lock`
    holder = lock.holder(settings)
    if not lock.is_file_held(settings.lock_file):
        last = f"; last taken by {holder}" if holder else ""
        yield Finding("lock", "ok", f"Nobody is writing{last}.")
        return
    if holder is None:
        yield Finding(
            "lock",
            "warning",
            "The lock is held, but no note says by whom.",
            f"`fuser {settings.lock_file}` names the process.",
        )
        return
    if holder.host == socket.gethostname() and not _is_alive(holder.pid):
        yield Finding(
            "lock",
            "warning",
            f"The lock is held, but {holder}, who took it, has ended: a process it started has it.",
            f"`fuser {settings.lock_file}` names the process; end it.",
        )
        return
    yield _writing(holder)


def check_shared_lock(opened: Lake, settings: Settings) -> Iterator[Finding]:
    """Look at the writer lock that all machines share whose catalogue is in PostgreSQL."""
    if settings.postgres is None:
        return
    holder = lock.shared_holder(opened.con)
    if holder is None:
        yield Finding("lock", "ok", "Nobody is writing, on any machine.")
    elif not holder.since:
        yield Finding(
            "lock",
            "ok",
            "Somebody is writing, who has not noted who it is.",
            "`select * from pg_locks where locktype = 'advisory'`, asked of the catalogue's "
            "database, names the session.",
        )
    else:
        yield _writing(holder)


def _writing(holder: lock.Holder) -> Finding:
    since = datetime.fromisoformat(holder.since)
    hours = (datetime.now(UTC) - since.replace(tzinfo=UTC)).total_seconds() / 3600
    is_long = hours > _LONG_HOURS
    return Finding(
        "lock",
        "warning" if is_long else "ok",
        f"{holder} is writing.",
        f"That is {hours:.0f} hours: look whether it still gets on, or end it." if is_long else "",
    )


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def check_nothing(settings: Settings) -> Iterator[Finding]:
    """Tell a home in which nothing was done yet from one that has lost its catalogue."""
    identity.require_unused(settings)
    what = f"There is no lake in {settings.home_folder} yet."
    yield Finding("catalogue", "warning", what, "Run `boathouse run`.")


def check_identity(opened: Lake, settings: Settings) -> Iterator[Finding]:
    """Look whether home, lake and catalogue belong together, so that they may be written in."""
    error = identity.problem(opened.con, settings)
    if error is not None:
        yield Finding("catalogue", "problem", error.message, error.hint)
        return
    home = identity.of_home(settings)
    if home is not None:
        yield Finding("catalogue", "ok", f"Home, lake and catalogue are of {home}.")


def check_catalog_file(settings: Settings) -> Iterator[Finding]:
    """Let SQLite check the catalogue; of PostgreSQL there is no file."""
    path = settings.catalog_file
    if path is None:
        return
    with lake_place.openable(settings, read_only=True) as given:
        problem = integrity_problem(given.catalog_file or path)
    if tells_of_full_disk(problem):
        what = f"{path} cannot be looked at on a full disk: {problem}"
        yield Finding("catalogue", "problem", what, disk.HINT)
    elif problem:
        yield Finding("catalogue", "problem", f"{path} is damaged: {problem}", _RESTORE)
    else:
        yield Finding("catalogue", "ok", f"{path} passes SQLite's integrity check.")


def check_catalog(opened: Lake) -> Iterator[Finding]:
    """Look at the format of the catalogue."""
    facts = dict(opened.rows("select key, value from __ducklake_metadata_lake.ducklake_metadata"))
    snapshots = opened.value("select count(*) from ducklake_snapshots('lake')")
    yield Finding(
        "catalogue",
        "ok",
        f"DuckLake format {facts.get('version')}, {snapshots:,} snapshots, "
        f"the newest {opened.current_snapshot()}.",
    )


def check_format(opened: Lake, settings: Settings) -> Iterator[Finding]:
    """Look whether the lake is in a format that an older version has written."""
    if due := identity.upgrade_due(opened.con, settings):
        yield Finding("catalogue", "warning", f"{due}.", _UPGRADING)


def check_build(opened: Lake, settings: Settings) -> Iterator[Finding]:
    """Look whether somebody still works at the last build, if it is not done."""
    last = find_last_build(opened, settings) if catalog.has_meta(opened) else None
    if last is not None and last.is_interrupted:
        yield Finding(
            "build",
            "warning",
            f"Build {last.build_id} (`{last.command}`, {last.started_at:%Y-%m-%d %H:%M} UTC) ended "
            "before it was done: it was stopped or killed.",
            "`boathouse run` does the rest; nothing is released before.",
        )


def check_held_back(opened: Lake, settings: Settings) -> Iterator[Finding]:
    """Look whether the lake as it is would be released."""
    last = find_last_build(opened, settings) if catalog.has_meta(opened) else None
    is_early = last is None or last.is_interrupted or last.status == "running"
    if is_early or identity.upgrade_due(opened.con, settings):
        return
    for blocker in held_back(opened, settings)[:_SHOWN]:
        yield Finding(
            "release",
            "warning",
            f"The next release is held back. {blocker}.".replace("..", "."),
            "`boathouse status` says all; `boathouse run` says what to do.",
        )


def check_files(opened: Lake, settings: Settings) -> Iterator[Finding]:
    """Look whether every file is there and as large as it must be."""
    files = lake_files.referenced(opened, settings)
    damaged = find_damaged(opened, settings, files)
    yield from tell_damaged(damaged, len(files))
    if not damaged:
        size = sum(file.size for file in files)
        yield Finding("files", "ok", f"All {len(files):,} files are there ({disk.shown(size)}).")


def find_damaged(
    opened: Lake, settings: Settings, files: list[lake_files.LakeFile]
) -> list[lake_files.Damaged]:
    """Return the files that are missing or have another size, wherever the lake keeps them."""
    if lake_files.is_local(settings):
        return lake_files.damaged(files)
    return lake_files.damaged_objects(opened, settings, files)


def tell_damaged(damaged: list[lake_files.Damaged], count: int) -> Iterator[Finding]:
    """Tell of damaged files, `count` being all there are, by what there is to do about them."""
    past = [each for each in damaged if not each.file.is_current]
    current = [each for each in damaged if each.file.is_current]
    made = {each.file.table: each for each in current if _model(each.file)}
    lost = [each for each in current if not _model(each.file)]
    if lost:
        yield Finding("files", "problem", _some_of(lost, count), _RESTORE)
    if made:
        models = " ".join(sorted(_model(each.file) for each in made.values()))
        yield Finding(
            "files",
            "problem",
            _some_of(list(made.values()), count),
            f"`boathouse build --full-refresh --select {models}` makes them anew from raw.",
        )
    if past:
        yield Finding(
            "files",
            "warning",
            _some_of(past, count),
            "Only the lake as it was needs them: they go once `boathouse maintain` lets the "
            "snapshots expire.",
        )


def _some_of(damaged: list[lake_files.Damaged], count: int) -> str:
    told = "; ".join(map(str, damaged[:_SHOWN])) + ("; …" if damaged[_SHOWN:] else "")
    return f"{len(damaged):,} of {count:,} files are missing or damaged: {told}"


def _model(file: lake_files.LakeFile) -> str:
    """Return the model or seed that can make a file's table again, empty when none can."""
    schema, _, table = file.table.partition(".")
    return table if schema in ("seeds", "staging", "intermediate", "marts") else ""


def check_orphans(opened: Lake, settings: Settings) -> Iterator[Finding]:
    """Look for files that belong to no table."""
    if not lake_files.is_local(settings):
        return
    files = lake_files.referenced(opened, settings)
    known = {os.path.normpath(file.path) for file in files} | _scheduled(opened, settings)
    orphans = [
        path
        for path in Path(settings.data_path).rglob("*.parquet")
        if str(path) not in known and _is_old(path)
    ]
    if orphans:
        yield Finding(
            "files",
            "warning",
            f"{len(orphans)} files belong to no table, {orphans[0]} among them.",
            "`boathouse maintain` deletes what a killed process has left.",
        )


def _scheduled(opened: Lake, settings: Settings) -> set[str]:
    rows = opened.rows(
        "select path, path_is_relative "
        "from __ducklake_metadata_lake.ducklake_files_scheduled_for_deletion"
    )
    folder = Path(settings.data_path)
    return {os.path.normpath(folder / path if relative else path) for path, relative in rows}


def _is_old(path: Path) -> bool:
    try:
        return path.stat().st_mtime < time.time() - _YOUNG_SECONDS
    except FileNotFoundError:
        return False
