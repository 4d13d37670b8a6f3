"""Room: which disk a path lies on, what is free there, and whether something fits."""

import os
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from boathouse.errors import DiskFullError
from boathouse.settings import MIB

HINT = (
    "Make room and run the same command again: nothing is half done. `boathouse doctor` says what "
    "takes how much; old backups, archive/ and releases/ are the first to look at."
)
# SQLite makes a file of 32 KiB beside a catalogue to read it.
_LEAST = MIB


@dataclass(frozen=True)
class Disk:
    """A file system: where it is mounted, and the bytes and files it has room for."""

    mount: Path
    free: int  # bytes that this user may take
    size: int  # bytes
    has_files_left: bool

    def __str__(self) -> str:
        room = f"{shown(self.free)} of {shown(self.size)} free"
        return f"{self.mount} ({room if self.has_files_left else room + ', but no more files'})"

    @property
    def is_full(self) -> bool:
        """Return whether not even what reading needs can be written."""
        return self.free < _LEAST or not self.has_files_left


def of(path: Path) -> Disk:
    """Return the disk that a path lies on, or will lie on when it is made."""
    there = Path(os.path.realpath(path))
    while not there.exists() and there != there.parent:
        there = there.parent
    mount = there
    while not mount.is_mount() and mount != mount.parent:
        mount = mount.parent
    stat = os.statvfs(there)
    return Disk(
        mount=mount,
        free=stat.f_bavail * stat.f_frsize,
        size=stat.f_blocks * stat.f_frsize,
        has_files_left=stat.f_files == 0 or stat.f_favail > 0,  # some file systems count no files
    )


def require(path: Path, needed: int, what: str) -> None:
    """Do nothing when so many bytes fit where a path is.

    Raises:
        DiskFullError: they do not; `what` says what needs them.
    """
    if of(path).free < needed:
        raise refusal(path, f"{what} needs {shown(needed)}")


def refusal(path: Path, what: str) -> DiskFullError:
    """Return the error of a disk on which there is no room; `what` says for what."""
    disk = of(path)
    return DiskFullError(
        f"There is no space left on {disk}: {what}.", hint=HINT, place=str(disk.mount)
    )


def shown(size: int) -> str:
    """Return a number of bytes as people read it."""
    return f"{size / 1e9:,.1f} GB" if size >= 1e9 else f"{size / 1e6:,.1f} MB"


def used(paths: Iterable[Path]) -> int:
    """Return the bytes of files and of all that is in folders; what is not there has none."""
    total = 0
    for path in paths:
        for each in path.rglob("*") if path.is_dir() else [path]:
            with suppress(OSError):  # deleted at this moment, or nobody may look
                stat = each.lstat()
                total += 0 if each.is_dir() else stat.st_size
    return total
