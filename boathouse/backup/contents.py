"""What a backup holds: the list of its files with their checksums, and where it lies.

A backup is a folder, or a tar file when its name ends with `.tar`, `.tar.gz` or `.tgz`. The
list, `backup.json`, is written last: without it there is no backup.
"""

import hashlib
import json
import os
import shutil
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from boathouse.errors import BoathouseError
from boathouse.settings import MIB

LIST = "backup.json"
FORMAT = 1
CATALOG = "catalog.sqlite"
LAKE = "lake"
_TAR = (".tar", ".tar.gz", ".tgz")


class BackupError(BoathouseError):
    """A backup could not be made, or is not whole."""


@dataclass(frozen=True)
class Item:
    """A file in a backup."""

    size: int  # bytes
    sha256: str
    mtime_ns: int  # when the original was last changed


@dataclass(frozen=True)
class Contents:
    """The list in `backup.json`."""

    made_at: str  # ISO, UTC; everything is as of this instant or a little earlier
    lake_snapshot: int
    current_release: int | None
    boathouse_version: str
    duckdb_version: str
    files: dict[str, Item] = field(default_factory=dict)  # path below the home
    format: int = FORMAT

    @property
    def size(self) -> int:
        """Return the bytes of all files."""
        return sum(item.size for item in self.files.values())

    def to_json(self) -> str:
        """Return the list as text."""
        return json.dumps(asdict(self), indent=1) + "\n"  # ASCII: names may be no UTF-8


def from_json(text: str, where: Path) -> Contents:
    """Return the list that was written with `Contents.to_json`.

    Raises:
        BackupError: it is no such list, or one of a later version.
    """
    try:
        told: dict[str, Any] = json.loads(text)
        if told["format"] != FORMAT:
            raise BackupError(
                f"The backup {where} has format {told['format']}, and this version reads {FORMAT}.",
                hint=f"Restore it with Boathouse {told['boathouse_version']}.",
            )
        told["files"] = {_safe(path): Item(**item) for path, item in told["files"].items()}
        return Contents(**told)
    except (ValueError, TypeError, KeyError) as error:
        raise BackupError(
            f"{where} holds no readable list of a backup's files: {error}", hint="Use another one."
        ) from error


def _safe(path: str) -> str:
    parts = PurePosixPath(path).parts
    if not parts or path.startswith("/") or ".." in parts:
        raise ValueError(f"{path!r} is not below the home")
    return path


def is_tar(path: Path) -> bool:
    """Return whether a backup of this name is one file."""
    return path.name.endswith(_TAR)


class Sink:
    """A backup that is being written, as a folder or a tar file; `files` is its list so far."""

    def __init__(self, folder: Path | None, tar: tarfile.TarFile | None) -> None:
        self._folder = folder
        self._tar = tar
        self.files: dict[str, Item] = {}

    def add(self, name: str, reading: BinaryIO) -> None:
        """Add an open file; one of the same name is replaced."""
        mtime_ns = os.fstat(reading.fileno()).st_mtime_ns
        reading.seek(0)
        hashing = _Hashing(reading)
        if self._folder is not None:
            target = self._folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("wb") as writing:
                shutil.copyfileobj(hashing, writing, MIB)
        elif self._tar is not None:
            member = tarfile.TarInfo(name)
            member.size = os.fstat(reading.fileno()).st_size
            member.mtime = mtime_ns // 1_000_000_000
            self._tar.addfile(member, hashing)
        self.files[name] = Item(hashing.size, hashing.hexdigest, mtime_ns)


class _Hashing:
    """Reads a file and knows size and checksum of what was read."""

    def __init__(self, reading: BinaryIO) -> None:
        self._reading = reading
        self._hash = hashlib.sha256()
        self.size = 0

    def read(self, size: int = -1) -> bytes:
        piece = self._reading.read(size)
        self._hash.update(piece)
        self.size += len(piece)
        return piece

    @property
    def hexdigest(self) -> str:
        return self._hash.hexdigest()


@contextmanager
def sink(path: Path, *, as_tar: bool, is_packed: bool) -> Iterator[Sink]:
    """Open a backup for writing."""
    if not as_tar:
        path.mkdir(parents=True)
        yield Sink(path, None)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:gz" if is_packed else "w") as tar:
        yield Sink(None, tar)


def read_list(path: Path) -> Contents:
    """Return the list of a backup's files.

    Raises:
        BackupError: there is no backup there, or it is not finished or damaged.
    """
    try:
        if path.is_dir():
            return from_json((path / LIST).read_text(encoding="utf-8"), path)
        with tarfile.open(path) as tar:
            member = tar.extractfile(LIST)
            assert member is not None
            return from_json(member.read().decode(), path)
    except (OSError, KeyError, tarfile.TarError, EOFError, zlib.error, ValueError) as error:
        raise BackupError(
            f"There is no whole backup at {path}: {error}",
            hint="Name the folder or tar file that `boathouse backup` has written.",
        ) from error


def unpack(path: Path, contents: Contents, target: Path) -> None:
    """Copy all files of a backup into a folder, each checked against its size and checksum.

    Raises:
        BackupError: a file is missing or is not what it was.
    """
    left = dict(contents.files)
    try:
        for name, reading in _opened(path, contents):
            if name in contents.files:
                _unpack_one(name, reading, contents.files[name], target)
                left.pop(name, None)
    except (OSError, tarfile.TarError, EOFError, zlib.error) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # the disk is full, say; of a damaged archive, gzip tells without a number
        raise _damaged(str(error)) from error
    if left:
        raise _damaged(f"{len(left)} files are missing, {min(left)} among them")


def _opened(path: Path, contents: Contents) -> Iterator[tuple[str, Any]]:
    if path.is_dir():
        for name in contents.files:
            if not (path / name).is_file():
                continue
            with (path / name).open("rb") as file:
                yield name, file
        return
    with tarfile.open(path) as tar:
        last = {member.name: member.offset for member in tar if member.isfile()}
        for member in tar.getmembers():
            reading = tar.extractfile(member) if last.get(member.name) == member.offset else None
            if reading is not None:
                yield member.name, reading


def _unpack_one(name: str, reading: Any, item: Item, target: Path) -> None:
    file = target / name
    file.parent.mkdir(parents=True, exist_ok=True)
    hashing = _Hashing(reading)
    with file.open("wb") as writing:
        shutil.copyfileobj(hashing, writing, MIB)
        writing.flush()
        os.fsync(writing.fileno())
    os.utime(file, ns=(item.mtime_ns, item.mtime_ns))
    if (hashing.size, hashing.hexdigest) != (item.size, item.sha256):
        raise _damaged(f"{name} is not what was written into it")


def _damaged(what: str) -> BackupError:
    return BackupError(
        f"The backup is damaged: {what}.",
        hint="Nothing was restored. Use another backup.",
    )
