"""Making a home of a backup: beside the old one, checked file by file, then in its place.

A home with data is never deleted: with `overwrite` it is set aside under another name.
"""

import os
import shutil
import sqlite3
import time
from contextlib import closing, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from glob import escape
from pathlib import Path
from typing import Any

from boathouse import disk, lake, lake_files, lock
from boathouse.backup.catalog_copy import check_catalog
from boathouse.backup.contents import CATALOG, BackupError, Contents, read_list, unpack
from boathouse.backup.create import BACKUPS, require_local
from boathouse.checkpoints import reached
from boathouse.errors import UsageError
from boathouse.release.files import show
from boathouse.settings import ENVIRONMENT_FILE, Settings
from boathouse.surroundings import is_full_disk

_OF_NO_VALUE = ("writer.lock", "writer.json", "backup.lock")
_READ_ONLY = 0o444
_SHOWN = 10


@dataclass(frozen=True)
class RestoreReport:
    """A home that was made from a backup."""

    home: Path
    made_at: str  # when the backup was made: ISO, UTC
    lake_snapshot: int
    current_release: int | None
    files: int
    bytes: int
    set_aside: Path | None  # where the home that was there before is now
    seconds: float

    def as_dict(self) -> dict[str, Any]:
        """Return everything as plain values, for JSON."""
        return asdict(self)


def restore(
    settings: Settings, source: Path, *, into: Path | None = None, overwrite: bool = False
) -> RestoreReport:
    """Make a home from a backup and return what is in it.

    Args:
        settings: Which home, when `into` is not given.
        source: The folder or tar file that `backup` has written.
        into: Which home to make; catalogue and lake lie in it.
        overwrite: Whether a home with data may be set aside; nothing of it is deleted.

    Raises:
        UsageError: the home has data and `overwrite` was not said, is an environment, or catalogue
            and lake do not lie in it.
        BackupError: the backup is not whole; nothing was changed.
        DiskFullError: there is no room for the home; nothing of it stays.
        LockTimeoutError: somebody was writing in the home for too long.
    """
    started = time.monotonic()
    if into is None and (settings.home_folder / ENVIRONMENT_FILE).exists():
        raise UsageError(
            f"{settings.home_folder} is an environment, and a backup makes a home.",
            hint="Restore --into another folder, or leave BOATHOUSE_ENV and --env out.",
        )
    made = _settings_of(settings, into)
    home = made.home_folder
    if has_data(home) and not overwrite:
        raise UsageError(
            f"{home} has data.",
            hint="Restore --into another folder, or say --overwrite: what is there is then set "
            "aside beside it, not deleted.",
        )
    contents = read_list(source)
    for left in home.parent.glob(f".{escape(home.name)}.restoring*"):
        shutil.rmtree(left, ignore_errors=True)
    # A name of its own: what checks the catalogue outlives a killed restore for a moment.
    beside = home.with_name(f".{home.name}.restoring.{os.getpid()}")
    disk.require(home.parent, contents.size, f"the home {home}")
    beside.mkdir(parents=True)
    try:
        unpack(source, contents, beside)
        _finish(made, beside, contents)
        os.sync()
        reached("restore:written")
        aside = _swap(made, beside, home)
    except BaseException as error:
        shutil.rmtree(beside, ignore_errors=True)
        if is_full_disk(error):
            size = disk.shown(contents.size)
            raise disk.refusal(home.parent, f"the home takes {size} and more") from error
        raise
    return RestoreReport(
        home=home,
        made_at=contents.made_at,
        lake_snapshot=contents.lake_snapshot,
        current_release=contents.current_release,
        files=len(contents.files),
        bytes=contents.size,
        set_aside=aside,
        seconds=time.monotonic() - started,
    )


def _settings_of(settings: Settings, into: Path | None) -> Settings:
    """Return the settings of the home to be made, whose catalogue and lake lie in it."""
    require_local(settings, "restored")
    if into is not None:
        home = into.expanduser().absolute()
        return settings.alone_in(home)
    inside = settings.model_copy(update={"catalog": "", "lake": ""})
    if (settings.catalog_uri, settings.data_path) != (inside.catalog_uri, inside.data_path):
        raise UsageError(
            "BOATHOUSE_CATALOG or BOATHOUSE_LAKE lies outside the home.",
            hint="A backup is restored into one folder: unset both, or use --into.",
        )
    return settings


def has_data(home: Path) -> bool:
    """Return whether a home holds any file, but for backups and those that only lock."""
    return any(
        not path.is_dir() and path.relative_to(home).parts[0] not in (*_OF_NO_VALUE, BACKUPS)
        for path in home.rglob("*")
    )


def _finish(made: Settings, beside: Path, contents: Contents) -> None:
    """Make the unpacked files a home, and try whether it opens."""
    there = made.model_copy(update={"home": beside})
    _move_catalog(beside / CATALOG, there)
    for path in there.releases_folder.glob("*"):
        path.chmod(_READ_ONLY)
    if contents.current_release is not None:
        show(there, contents.current_release)
    problem = check_catalog(beside / CATALOG)
    with lake.connect(there, read_only=True) as opened:
        snapshot = opened.current_snapshot()
        damaged = lake_files.damaged(lake_files.referenced(opened, there))
    if problem or damaged or snapshot != contents.lake_snapshot:
        lines = [
            problem or f"snapshot {snapshot}, not {contents.lake_snapshot}",
            *map(str, damaged[:_SHOWN]),
        ]
        raise BackupError(
            "What the backup holds is no whole lake:\n  " + "\n  ".join(lines),
            hint="Nothing was restored. Use another backup.",
        )
    _move_catalog(beside / CATALOG, made)


def _move_catalog(catalog: Path, settings: Settings) -> None:
    """Tell the catalogue where its files are."""
    with closing(sqlite3.connect(catalog)) as con, con:
        con.execute(
            "update ducklake_metadata set value = ? where key = 'data_path'",
            [f"{settings.data_path.rstrip('/')}/"],
        )


def _swap(made: Settings, beside: Path, home: Path) -> Path | None:
    """Put the new home in its place; return where the old one is now, if it had anything."""
    if not home.exists():
        beside.rename(home)
        return None
    aside = home.with_name(f"{home.name}.before-restore-{datetime.now(UTC):%Y-%m-%dT%H%M%S.%fZ}")
    with lock.writer(made, "boathouse restore"):
        try:
            home.rename(aside)
        except OSError as error:
            raise UsageError(
                f"{home} cannot be set aside: {error.strerror}.",
                hint="Where it is a mount point, restore --into a folder in it.",
            ) from error
        reached("restore:set-aside")
        beside.rename(home)
    with suppress(FileNotFoundError):
        (aside / BACKUPS).rename(home / BACKUPS)
    if has_data(aside):
        return aside
    shutil.rmtree(aside)
    return None
