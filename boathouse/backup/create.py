"""Making a backup while others go on working.

The order decides what is in it. What comes before the catalogue may be a little older than it,
and what comes after a little newer; either way the next run mends it as it mends a kill:

1. rejected files and landing, the note of what was built, and the releases (held open);
2. the catalogue as of one instant: this is the instant of the backup;
3. the lake's files it refers to, which are never changed and, while the backup holds them, never
   deleted; the archive up to its last load; files rejected meanwhile.
"""

import os
import time
from contextlib import ExitStack, nullcontext, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

import duckdb

from boathouse import __version__, api_keys, catalog, disk, identity, lake, lake_files, lake_place
from boathouse.backup.catalog_copy import copy_catalog
from boathouse.backup.contents import CATALOG, LAKE, LIST, BackupError, Contents, Sink, is_tar, sink
from boathouse.backup.part import part_of
from boathouse.checkpoints import reached
from boathouse.errors import LakeError, UsageError
from boathouse.ingest.deliveries import is_open_for_writing
from boathouse.ingest.disposal import reason_path
from boathouse.lake import Lake
from boathouse.maintain.removal import files_lock
from boathouse.release import checksums, lookups
from boathouse.release.files import current_id, kept_ids, kept_path, path_of
from boathouse.settings import Settings
from boathouse.surroundings import is_full_disk

BACKUPS = "backups"
_CONTENT = "content"
_SHOWN = 10


@dataclass(frozen=True)
class BackupReport:
    """A backup that was made."""

    path: Path
    made_at: str  # ISO, UTC
    lake_snapshot: int
    current_release: int | None
    files: int
    bytes: int  # of the files in it, unpacked
    seconds: float

    def as_dict(self) -> dict[str, Any]:
        """Return everything as plain values, for JSON."""
        return asdict(self)


def backup(settings: Settings, target: Path | None = None) -> BackupReport:
    """Write all that is needed to go on as before into a folder or a tar file; return what it is.

    It takes no writer lock, so that a build may run meanwhile. It is written beside `target` and
    renamed when it is complete.

    Args:
        settings: Which home.
        target: A folder that is not there yet, or the name of a tar file; by default a folder
            named for the time, in `backups` in the home.

    Raises:
        UsageError: `target` is there already, or the catalogue or the files are not on this
            machine.
        BackupError: a file that the catalogue refers to is missing or damaged.
        DiskFullError: there is no room for it; nothing of it stays.
        LakeError: there is no lake, or its catalogue cannot be read.
    """
    started = time.monotonic()
    require_local(settings, "backed up")
    path = (target or _default(settings)).expanduser().absolute()
    if path.exists():
        raise UsageError(f"{path} is there already.", hint="Name a new folder or file.")
    # Waits while maintenance deletes, or another backup is made: neither can be where nothing
    # may be written.
    is_writable = os.access(settings.home_folder, os.W_OK)
    with files_lock(settings) if is_writable else nullcontext(), part_of(path) as part:
        try:
            contents = _write(settings, part, path)
        except OSError as error:
            if is_full_disk(error):
                size = disk.used([Path(settings.data_path), *_others(settings)])
                raise disk.refusal(path, f"a backup holds up to {disk.shown(size)}") from error
            raise
        os.sync()  # thousands of files are on the disk sooner than one after the other
        (part / _CONTENT).rename(path)
    os.sync()
    return BackupReport(
        path=path,
        made_at=contents.made_at,
        lake_snapshot=contents.lake_snapshot,
        current_release=contents.current_release,
        files=len(contents.files),
        bytes=contents.size,
        seconds=time.monotonic() - started,
    )


def require_local(settings: Settings, what: str) -> None:
    """Do nothing when catalogue and files of the lake are on this machine.

    Raises:
        UsageError: they are not; says what to use.
    """
    if settings.postgres is not None:
        raise UsageError(
            f"A catalogue in PostgreSQL cannot be {what} by Boathouse.",
            hint="While nobody writes (`boathouse status`), dump it with `pg_dump --format=custom "
            "--file=catalog.dump <address>` first and copy the lake's files and BOATHOUSE_HOME "
            "after it; `pg_restore` puts the catalogue back. See docs/operations.md.",
        )
    if not lake_files.is_local(settings):
        raise UsageError(
            f"A lake in an object store ({settings.data_path}) cannot be {what} by Boathouse.",
            hint="Copy the catalogue and BOATHOUSE_HOME, and after them the bucket, or let the "
            "bucket keep versions. See docs/operations.md.",
        )


def _default(settings: Settings) -> Path:
    return settings.home_folder / BACKUPS / f"{datetime.now(UTC):%Y-%m-%dT%H%M%SZ}"


def _write(settings: Settings, part: Path, path: Path) -> Contents:
    """Write everything into a folder or file in `part`."""
    if not lake.exists(settings):
        raise LakeError(
            f"There is no lake in {settings.home_folder} yet.", hint="Run `boathouse run` first."
        )
    is_packed = is_tar(path) and not path.name.endswith(".tar")
    with (
        ExitStack() as held,
        sink(part / _CONTENT, as_tar=is_tar(path), is_packed=is_packed) as writing,
    ):
        releases, current = _releases(settings, held)
        _add_tree(writing, settings.home_folder, settings.rejected)
        _add_landing(writing, settings)
        _add_if_there(writing, api_keys.FILE, settings.home_folder / api_keys.FILE)
        # Before the catalogue, which must not be older than what the home has seen.
        _add_if_there(writing, identity.FILE, settings.home_folder / identity.FILE)
        _add_if_there(writing, f"{LAKE}/{identity.FILE}", Path(settings.data_path) / identity.FILE)
        copied = part / CATALOG
        with lake_place.openable(settings, read_only=True) as given:
            copy_catalog(Path(given.catalog_uri.removeprefix("sqlite:")), copied)
        made_at = datetime.now(UTC).isoformat(timespec="seconds")
        of_copy = settings.model_copy(update={"catalog": f"sqlite:{copied}"})
        with lake.connect(of_copy, read_only=True) as opened:
            snapshot, ledger = opened.current_snapshot(), _ledger(opened)
            wanted = lake_files.referenced(opened, settings)
        reached("backup:catalog-copied")
        if not is_packed:
            _require_room(settings, path, wanted)
        _add_lake(writing, settings, wanted)
        _add_archive(writing, settings, max((load_id for load_id, *_ in ledger), default=0))
        _add_tree(writing, settings.home_folder, settings.rejected)
        _drop_moved(writing, settings, ledger)
        for name, file in releases.items():
            writing.add(f"releases/{name}", file)
        _add_if_there(writing, CATALOG, copied)
        contents = Contents(
            made_at, snapshot, current, __version__, duckdb.__version__, dict(writing.files)
        )
        listed = part / LIST
        listed.write_text(contents.to_json(), encoding="utf-8")
        _add_if_there(writing, LIST, listed)
    return contents


def _require_room(settings: Settings, path: Path, wanted: list[lake_files.LakeFile]) -> None:
    """Do nothing when the largest parts of a backup, which are not written yet, fit."""
    size = sum(file.size for file in wanted) + disk.used(_others(settings))
    disk.require(path, size, f"the backup {path}")


def _others(settings: Settings) -> list[Path]:
    """Return what a backup holds beside the lake, but for what is small."""
    return [settings.archive_folder, settings.releases_folder]


def _releases(settings: Settings, held: ExitStack) -> tuple[dict[str, BinaryIO], int | None]:
    """Return the files of kept releases, open so that they cannot go away, and the current id."""
    found: dict[str, BinaryIO] = {}

    def hold(path: Path, name: str) -> None:
        with suppress(FileNotFoundError):  # pruned at this moment
            found[name] = held.enter_context(path.open("rb"))

    ids = kept_ids(settings)
    for path in (kept_path(settings, release_id) for release_id in ids):
        hold(path, path.name)
    current = current_id(settings)
    if current is not None and current not in ids:  # released at this moment
        hold(path_of(settings, current), kept_path(settings, current).name)
        ids.append(current)
    for path in (kept_path(settings, release_id) for release_id in ids):
        for beside in (lookups.beside(path), checksums.beside(path)):
            hold(beside, beside.name)
    return found, current


def _ledger(opened: Lake) -> list[tuple[int, str, str, str, str]]:
    """Return load, source, name, checksum and status of every file that was loaded or refused."""
    if not catalog.has_meta(opened):
        return []
    return opened.rows(
        "select load_id, source, file_name, file_sha256, status from lake.meta.loads order by all"
    )


def _drop_moved(
    writing: Sink, settings: Settings, ledger: list[tuple[int, str, str, str, str]]
) -> None:
    """Leave out what was copied from where it waited, and moved on before the catalogue was copied.

    It is in the backup where it went; waiting as well, it would count as delivered twice.
    """
    seen = {(source, name, sha256): status for _, source, name, sha256, status in ledger}
    for name, item in list(writing.files.items()):
        place, _, rest = name.partition("/")
        source, _, file = rest.partition("/")
        status = seen.get((source, file, item.sha256))
        is_done = {
            "landing": status is not None,
            "rejected": status is not None and status != "rejected",
        }
        if is_done.get(place) and not (settings.home_folder / name).exists():
            writing.drop(name)
            if place == "rejected":
                reason = reason_path(settings.home_folder / name)
                writing.drop(reason.relative_to(settings.home_folder).as_posix())


def _add_lake(writing: Sink, settings: Settings, wanted: list[lake_files.LakeFile]) -> None:
    damaged = lake_files.damaged(wanted)
    if damaged:
        raise BackupError(
            f"{len(damaged)} files of the lake are missing or damaged:\n  "
            + "\n  ".join(map(str, damaged[:_SHOWN])),
            hint="Nothing was written. `boathouse doctor` says what to do about each.",
        )
    folder = Path(settings.data_path)
    for file in wanted:
        with Path(file.path).open("rb") as reading:
            writing.add(f"{LAKE}/{Path(file.path).relative_to(folder).as_posix()}", reading)


def _add_archive(writing: Sink, settings: Settings, last_load: int) -> None:
    """Add the originals of all loads that the copied catalogue knows."""
    for folder in sorted(settings.archive_folder.glob("*/*")):
        if folder.name.isdecimal() and int(folder.name) <= last_load:
            _add_tree(writing, settings.home_folder, folder)


def _add_landing(writing: Sink, settings: Settings) -> None:
    """Add what was delivered whole; what somebody still writes has not been delivered yet."""
    settled_ns = time.time_ns() - int(settings.settle_seconds * 1e9)
    for path in _files(settings.landing_folder):
        with suppress(FileNotFoundError), path.open("rb") as reading:
            is_young = path.stat().st_mtime_ns > settled_ns
            if not is_young and not is_open_for_writing(reading.fileno()):
                writing.add(path.relative_to(settings.home_folder).as_posix(), reading)


def _add_tree(writing: Sink, home: Path, folder: Path) -> None:
    """Add the files of a folder that are not in the backup as they are."""
    for path in _files(folder):
        name = path.relative_to(home).as_posix()
        with suppress(FileNotFoundError), path.open("rb") as reading:
            known, now = writing.files.get(name), os.fstat(reading.fileno())
            if known is None or (known.size, known.mtime_ns) != (now.st_size, now.st_mtime_ns):
                writing.add(name, reading)


def _add_if_there(writing: Sink, name: str, path: Path) -> None:
    with suppress(FileNotFoundError), path.open("rb") as reading:
        writing.add(name, reading)


def _files(folder: Path) -> list[Path]:
    """Return the regular files below a folder; links are never followed."""
    return sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
