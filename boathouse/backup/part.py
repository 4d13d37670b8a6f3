"""Where a backup is written before it has its name: a hidden folder beside it, and held.

A killed backup leaves it. The next one beside it removes what nobody holds.
"""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from boathouse.errors import UsageError
from boathouse.lock import is_file_held

_ENDING = ".boathouse-part"
_LOCK = "lock"


@contextmanager
def part_of(path: Path) -> Iterator[Path]:
    """Give an empty folder beside `path` for a `with` block; at its end it is gone.

    Raises:
        UsageError: another process is writing a backup of this name.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    folder = path.with_name(f".{path.name}{_ENDING}")
    for dead in dead_parts(path.parent):
        if dead != folder:
            shutil.rmtree(dead, ignore_errors=True)
    folder.mkdir(exist_ok=True)
    descriptor = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT)
    try:
        _hold(descriptor, path)
        for left in folder.iterdir():
            if left.name != _LOCK:
                shutil.rmtree(left) if left.is_dir() else left.unlink()
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(descriptor)


def _hold(descriptor: int, path: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise UsageError(
            f"Another process is writing {path}.", hint="Wait for it, or name another one."
        ) from None
    except OSError:
        pass  # a network drive without locks


def dead_parts(folder: Path) -> list[Path]:
    """Return what killed backups have left in a folder."""
    return [path for path in folder.glob(f".*{_ENDING}") if not _is_held(path / _LOCK)]


def _is_held(lock: Path) -> bool:
    try:
        return is_file_held(lock)
    except OSError:
        return True  # nobody can tell
