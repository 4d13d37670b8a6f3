"""Copies of files: made in the cheapest way there is, kept through a power failure, compared."""

import errno
import fcntl
import hashlib
import os
import shutil
from contextlib import suppress
from pathlib import Path

_FICLONE = 0x40049409  # Linux: share the blocks of another file until one of them is written
_NOT_HERE = (errno.ENOSYS, errno.EXDEV, errno.EINVAL, errno.EOPNOTSUPP)


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


def checksum(path: Path) -> str:
    """Return the SHA-256 of a file, empty when it is not there or cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""


def sync(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
