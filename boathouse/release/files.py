"""The files of releases: where they lie, which one is current, and how one becomes it.

`warehouse.duckdb` is a second name (a hard link) of one of the files in `releases/`, and which
one that is decides what is current. A file gets its name in `releases/` only after readers have
seen it, so whatever lies there was released once. Every step is a rename or a link, so a process
killed at any point leaves the old release or the new one; `tidy` mends the rest.
"""

import errno
import fcntl
import os
import shutil
from contextlib import suppress
from pathlib import Path

from boathouse.checkpoints import reached
from boathouse.errors import ReleaseError
from boathouse.release import lookups
from boathouse.release.about import read_info
from boathouse.release.report import ReleaseInfo
from boathouse.settings import Settings

_FICLONE = 0x40049409  # Linux: share the blocks of another file until one of them is written
_NOT_HERE = (errno.ENOSYS, errno.EXDEV, errno.EINVAL, errno.EOPNOTSUPP)
_READ_ONLY = 0o444  # whoever opens the released file to write in it is told no
_ATTEMPTS = 3


def kept_path(settings: Settings, release_id: int) -> Path:
    """Return where a release is kept."""
    return settings.releases / f"{release_id}.duckdb"


def temporary_path(settings: Settings, release_id: int) -> Path:
    """Return where a release is written before anybody may see it."""
    return settings.releases / f".{release_id}.duckdb.tmp"


def kept_ids(settings: Settings) -> list[int]:
    """Return the ids of all kept releases, oldest first."""
    stems = (path.stem for path in settings.releases.glob("*.duckdb"))
    return sorted(int(stem) for stem in stems if stem.isdecimal())


def current_id(settings: Settings) -> int | None:
    """Return the id of the release that readers see, or None when they see none."""
    if not settings.warehouse.exists():
        return None
    for release_id in kept_ids(settings):
        with suppress(FileNotFoundError):  # pruned at this moment
            if settings.warehouse.samefile(kept_path(settings, release_id)):
                return release_id
    # A copy, where the file system knows no links, or a file that was not named yet.
    info = read_info(settings.warehouse)
    return info.release_id if info else None


def list_releases(settings: Settings) -> list[ReleaseInfo]:
    """Return all kept releases, newest first; files that cannot be read are left out."""
    current = current_id(settings)
    found = []
    for release_id in reversed(kept_ids(settings)):
        with suppress(FileNotFoundError):  # pruned at this moment
            info = read_info(kept_path(settings, release_id), is_current=release_id == current)
            if info is not None:
                found.append(info)
    return found


def current_release(settings: Settings) -> ReleaseInfo | None:
    """Return the release that readers see, or None when there is none yet.

    Its `path` is the file's own name, which no other release ever gets: who keeps it open does
    best to open that one.

    Raises:
        ReleaseError: `warehouse.duckdb` is there but is no released file.
    """
    release_id = current_id(settings)
    if release_id is None:
        if settings.warehouse.exists():
            raise ReleaseError(
                f"{settings.warehouse} is no file that Boathouse has released.",
                hint="Put a release back with `boathouse rollback`, or make a new one.",
            )
        return None
    kept = kept_path(settings, release_id)
    info = read_info(kept if kept.exists() else settings.warehouse, is_current=True)
    if info is None:
        raise ReleaseError(
            f"The released file {kept} cannot be read.",
            hint="Put another one back with `boathouse rollback`, or make a new release.",
        )
    return info


def copy(source: Path, target: Path) -> None:
    """Copy a file in the cheapest way that the file system knows."""
    with source.open("rb") as reading, target.open("wb") as writing:
        with suppress(OSError):
            fcntl.ioctl(writing.fileno(), _FICLONE, reading.fileno())
            return
        try:
            while os.copy_file_range(reading.fileno(), writing.fileno(), 1 << 30):
                pass
            return
        except OSError as error:
            if error.errno not in _NOT_HERE:
                raise
    shutil.copyfile(source, target)


def publish(settings: Settings, release_id: int) -> None:
    """Make the finished temporary file of a release the one that readers see, then name it."""
    temporary = temporary_path(settings, release_id)
    for path in (lookups.beside(temporary), temporary):
        path.chmod(_READ_ONLY)
        _sync(path)
    lookups.beside(temporary).replace(lookups.beside(kept_path(settings, release_id)))
    reached("release:lookups-named")
    show(settings, temporary)
    reached("release:shown")
    _name(settings, release_id)
    reached("release:named")


def name_shown(settings: Settings) -> None:
    """Give the file that readers see its name among the kept ones, if it does not have it yet."""
    shown = current_id(settings)
    if shown is None or kept_path(settings, shown).exists():
        return
    temporary = temporary_path(settings, shown)
    if not temporary.exists():
        _link(settings.warehouse, temporary)
    _name(settings, shown)


def _name(settings: Settings, release_id: int) -> None:
    with suppress(FileNotFoundError):  # named by another process at this moment
        temporary_path(settings, release_id).replace(kept_path(settings, release_id))
    _sync(settings.releases)


def show(settings: Settings, path: Path) -> None:
    """Make a release's file the one that readers see, in one atomic step."""
    link = settings.home_folder / f".warehouse.{os.getpid()}.tmp"
    for attempt in range(_ATTEMPTS):
        try:
            link.unlink(missing_ok=True)
            _link(path, link)
            reached("release:linked")
            link.replace(settings.warehouse)
            break
        except FileNotFoundError:
            # Another process has tidied up between the two steps.
            if attempt == _ATTEMPTS - 1:
                raise
    link.unlink(missing_ok=True)  # it stays when it was a link to the very same file
    _sync(settings.home_folder)


def _link(path: Path, link: Path) -> None:
    try:
        link.hardlink_to(path)
    except FileNotFoundError:
        raise
    except OSError:  # no hard links here
        copy(path, link)
        link.chmod(_READ_ONLY)
        _sync(link)


def _sync(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def tidy(settings: Settings) -> None:
    """Mend what a killed process has left: finish naming its release, delete the rest."""
    settings.releases.mkdir(parents=True, exist_ok=True)
    for link in settings.home_folder.glob(".warehouse.*.tmp"):
        link.unlink(missing_ok=True)
    name_shown(settings)
    for leftover in leftovers(settings):
        leftover.unlink(missing_ok=True)


def leftovers(settings: Settings) -> list[Path]:
    """Return the files in `releases/` that belong to no release, once `name_shown` was called."""
    kept = {lookups.beside(kept_path(settings, each)) for each in kept_ids(settings)}
    orphans = [path for path in settings.releases.glob("*.lookups.sqlite") if path not in kept]
    return [*settings.releases.glob(".*.tmp*"), *orphans]


def prune(settings: Settings) -> None:
    """Delete all but the newest releases; the one that readers see always stays."""
    current = current_id(settings)
    for release_id in kept_ids(settings)[: -settings.releases_kept]:
        if release_id != current:
            path = kept_path(settings, release_id)
            path.unlink(missing_ok=True)
            lookups.beside(path).unlink(missing_ok=True)
