"""What everybody else opens: `warehouse.duckdb`, a link to a copy of the current release.

DuckDB's clients open a file for writing unless they are told not to. Who does that holds a lock
that keeps all others out, and may change the file; permissions stop everybody but root. So what
they open is a copy in `readers/` that nothing depends on: Boathouse itself reads `releases/`.
DuckDB follows the link and keeps its write-ahead log beside the copy, and no two copies ever have
the same name: a log that is left behind is never replayed into another release.

A copy is as it was released while it has the size and the time of the release's own file.
"""

import fcntl
import os
import re
import secrets
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from boathouse.checkpoints import reached
from boathouse.release.copying import checksum, copy, sync
from boathouse.settings import Settings

READ_ONLY = 0o444  # whoever opens a released file to write in it is told no
_COPY = re.compile(r"(\d+)-[0-9a-f]+\.duckdb")
# A copy that was replaced stays this long for who has just followed the link to it.
_YOUNG_SECONDS = 60
_ATTEMPTS = 3


@dataclass(frozen=True)
class Writer:
    """A process that has the readers' copy open for writing, as far as the system tells."""

    pid: int | None
    command: str

    def __str__(self) -> str:
        if self.pid is None:
            return "a process that cannot be seen from here"
        return f"process {self.pid}" + (f" (`{self.command}`)" if self.command else "")


def folder(settings: Settings) -> Path:
    """Return where the copies are."""
    return settings.home_folder / "readers"


def shown_id(settings: Settings) -> int | None:
    """Return the release that the link leads to, or None when there is no link of ours."""
    copied = _copied(settings)
    found = _COPY.fullmatch(copied.name) if copied else None
    return int(found[1]) if found else None


def _copied(settings: Settings) -> Path | None:
    """Return the copy that the link leads to, whether it is there or not."""
    try:
        path = settings.home_folder / settings.warehouse.readlink()
    except OSError:
        return None  # it is missing, or a file, as where there are no links
    return path if path.parent == folder(settings) else None


def show(settings: Settings, release_id: int, file: Path) -> None:
    """Let everybody see a copy of a release's file, from one instant to the next."""
    link = settings.home_folder / f".warehouse.{os.getpid()}.tmp"
    for attempt in range(_ATTEMPTS):
        try:
            _link(settings, release_id, file, link)
            reached("release:linked")
            # Left by a client that does not follow links: it would be replayed into this release.
            settings.warehouse.with_name(f"{settings.warehouse.name}.wal").unlink(missing_ok=True)
            link.replace(settings.warehouse)
            break
        except FileNotFoundError:
            # Another process has tidied up between the steps.
            if attempt == _ATTEMPTS - 1:
                raise
    sync(settings.home_folder)


def _link(settings: Settings, release_id: int, file: Path, link: Path) -> None:
    """Make a new copy of a file, and a link to it; where there are no links, the copy itself."""
    place = folder(settings)
    place.mkdir(exist_ok=True)
    copied = place / f"{release_id}-{secrets.token_hex(4)}.duckdb"
    try:
        copy(file, copied)
        stat = file.stat()
        os.utime(copied, ns=(stat.st_atime_ns, stat.st_mtime_ns))
        copied.chmod(READ_ONLY)
        sync(copied)
    except OSError:  # the disk is full, say
        copied.unlink(missing_ok=True)
        raise
    sync(place)
    reached("release:copied-for-readers")
    link.unlink(missing_ok=True)
    try:
        link.symlink_to(copied.relative_to(settings.home_folder))
    except FileNotFoundError:
        raise
    except OSError:  # no links here
        copied.replace(link)


def is_as_released(settings: Settings, file: Path, *, is_deep: bool = False) -> bool:
    """Return whether what everybody opens has not been changed since it was copied from a file.

    With `is_deep` every byte is compared.
    """
    path = _copied(settings) or settings.warehouse
    if list(path.parent.glob(f"{path.name}.*")):  # what a writer has not brought into it
        return False
    try:
        seen, released = path.stat(), file.stat()
    except FileNotFoundError:
        return False
    if (seen.st_size, seen.st_mtime_ns) != (released.st_size, released.st_mtime_ns):
        return False
    return not is_deep or checksum(path) == checksum(file)


def is_apart(settings: Settings, file: Path) -> bool:
    """Return whether what everybody opens is another file than the release's own."""
    try:
        return not settings.warehouse.samefile(file)
    except FileNotFoundError:
        return False


def writer(settings: Settings) -> Writer | None:
    """Return who else has the readers' copy open for writing, which keeps all others out."""
    try:
        descriptor = os.open(settings.warehouse, os.O_RDONLY)
    except OSError:
        return None
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return None
    except OSError:
        return _holder(os.fstat(descriptor))
    finally:
        os.close(descriptor)


def _holder(stat: os.stat_result) -> Writer:
    """Return who holds a lock for writing on a file; only Linux tells."""
    with suppress(OSError, ValueError):
        for line in Path("/proc/locks").read_text().splitlines():
            # 1: POSIX  ADVISORY  WRITE 27519 fd:00:12345 0 EOF
            fields = line.split()
            if fields[3] == "WRITE" and fields[5].split(":")[-1] == str(stat.st_ino):
                pid = int(fields[4])
                return Writer(pid, _command(pid)) if pid > 0 else Writer(None, "")
    return Writer(None, "")


def _command(pid: int) -> str:
    with suppress(OSError):
        return " ".join(Path(f"/proc/{pid}/cmdline").read_text().split("\0")).strip()
    return ""


def leftovers(settings: Settings) -> list[Path]:
    """Return the copies that nobody is led to any more, and what was left beside them."""
    copied = _copied(settings)
    current = copied.name if copied else ""
    old = time.time() - _YOUNG_SECONDS
    found = []
    for path in folder(settings).glob("*"):
        with suppress(FileNotFoundError):
            is_current = current and path.name.startswith(current)
            if not is_current and path.lstat().st_ctime < old:
                found.append(path)
    return found
