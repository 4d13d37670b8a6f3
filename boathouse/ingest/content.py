"""The bytes of one delivered file, hashed and unpacked.

Small files stay in memory; large ones are read in pieces, large packed ones are unpacked into
the work folder. Nothing here knows about text, records or columns.
"""

import bz2
import gzip
import hashlib
import io
import lzma
import stat
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Protocol

from backports import zstd

from boathouse.ingest.deliveries import Delivery, is_open_for_writing, is_unchanged
from boathouse.settings import MIB, Settings

PIECE = 4 * MIB
SMALL = 8 * MIB
_PACKED = {".gz": "gzip", ".zst": "Zstandard", ".bz2": "bzip2", ".zip": "ZIP"}
_MAGIC = {
    b"\x1f\x8b": "gzip",
    b"\x28\xb5\x2f\xfd": "Zstandard",
    b"BZh": "bzip2",
    b"PK\x03\x04": "ZIP",
    b"PK\x05\x06": "ZIP",
}
_UNPACK_ERRORS = (
    EOFError,
    OSError,
    zlib.error,
    lzma.LZMAError,
    zstd.ZstdError,
    zipfile.BadZipFile,
    struct.error,
    ValueError,
    NotImplementedError,
    RuntimeError,
)


class RefusedFileError(Exception):
    """A whole file cannot be read under its contract; the message is the reason."""


class UnfinishedFileError(Exception):
    """The file is left alone for now: somebody still writes it, unless the message says else."""


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


@dataclass(frozen=True)
class Part:
    """Unpacked bytes, in memory or in a file; a ZIP archive has one part for each member."""

    content: bytes | Path
    size: int

    def open(self) -> BinaryIO:
        """Open the bytes for reading."""
        content = self.content
        return io.BytesIO(content) if isinstance(content, bytes) else content.open("rb")

    def pieces(self) -> Iterator[bytes]:
        """Yield the bytes, a few megabytes at a time."""
        if isinstance(self.content, bytes):
            yield self.content
            return
        with self.open() as file:
            while piece := file.read(PIECE):
                yield piece

    def whole(self) -> bytes:
        """Return all bytes at once."""
        with self.open() as file:
            return file.read()


def digest(delivery: Delivery) -> str:
    """Return the SHA-256 of a file; of a link's target when it is a symbolic link.

    Raises:
        UnfinishedFileError: somebody has it open for writing, it changed or vanished, or it may
            not be read.
    """
    try:
        mode = delivery.path.lstat().st_mode
        if stat.S_ISLNK(mode):
            return hashlib.sha256(bytes(delivery.path.readlink())).hexdigest()
        if not stat.S_ISREG(mode):
            return hashlib.sha256(b"").hexdigest()  # opening a pipe would wait for its writer
        with delivery.path.open("rb") as file:
            return _digest(file, delivery)
    except FileNotFoundError:
        raise UnfinishedFileError from None
    except PermissionError:
        raise UnfinishedFileError("it may not be read: permission denied") from None


def _digest(file: io.BufferedReader, delivery: Delivery) -> str:
    if is_open_for_writing(file.fileno()):
        raise UnfinishedFileError
    sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    if not is_unchanged(delivery):
        raise UnfinishedFileError
    return sha256


def unpack(
    delivery: Delivery,
    settings: Settings,
    work: Path,
    *,
    is_workbook: bool,
    members: Sequence[str] = (),
) -> Iterator[Part]:
    """Yield the unpacked parts of a file; a part on disk may be deleted once it was read.

    Of a ZIP archive those members whose path fits one of the patterns `members`, or all.

    Raises:
        RefusedFileError: it is empty, not packed the way its name says, cut off or damaged.
    """
    if delivery.size == 0:
        raise RefusedFileError("the file is empty (0 bytes)")
    with delivery.path.open("rb") as file:
        expected = _PACKED.get(delivery.path.suffix.lower())
        found = None if is_workbook and expected is None else _packing(file)
        if found != expected:
            raise RefusedFileError(
                f"its content is {f'a {found} archive' if found else 'not packed'}, but its name "
                f"says {f'it is a {expected} archive' if expected else 'it is not packed'}; "
                "give it the name it should have and deliver it again"
            )
        if expected is None:
            if delivery.size > SMALL:
                yield Part(delivery.path, delivery.size)
            else:
                yield Part(file.read(), delivery.size)
            return
        unpacker = _Unpacker(work, settings.max_unpacked_bytes)
        try:
            yield from _unpacked(file, expected, unpacker, members)
        except _UNPACK_ERRORS as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise
            detail = str(error).rstrip(".") or "it ends too early"
            raise RefusedFileError(
                f"the {expected} archive is damaged or cut off: {detail}"
            ) from error


def _packing(file: BinaryIO) -> str | None:
    start = file.read(4)
    file.seek(0)
    return next((kind for magic, kind in _MAGIC.items() if start.startswith(magic)), None)


def _unpacked(
    file: BinaryIO, packing: str, unpacker: "_Unpacker", members: Sequence[str]
) -> Iterator[Part]:
    match packing:
        case "gzip":
            yield unpacker.drain(gzip.GzipFile(fileobj=file))
        case "bzip2":
            yield unpacker.drain(bz2.BZ2File(file))
        case "Zstandard":
            yield unpacker.drain(zstd.ZstdFile(file))
        case _:
            yield from _members(file, unpacker, members)


def _members(file: BinaryIO, unpacker: "_Unpacker", patterns: Sequence[str]) -> Iterator[Part]:
    with zipfile.ZipFile(file) as archive:
        members = [member for member in archive.infolist() if not _is_clutter(member)]
        if patterns:
            members = [member for member in members if _fits(member, patterns)]
        if not members:
            kind = f" that fits members: {', '.join(patterns)}" if patterns else ""
            raise RefusedFileError(f"the ZIP archive holds no file{kind}")
        for member in members:
            path = _path(member)
            if not path.parts or path.is_absolute() or ".." in path.parts or ":" in path.parts[0]:
                raise RefusedFileError(
                    f"the ZIP archive holds {member.filename!r}, a path outside the archive"
                )
            if member.flag_bits & 1:
                raise RefusedFileError("the ZIP archive is protected by a password")
        for member in members:
            with archive.open(member) as content:
                part = unpacker.drain(content)
            if part.size == 0:
                raise RefusedFileError(f"{member.filename!r} in the ZIP archive is empty")
            yield part


def _path(member: zipfile.ZipInfo) -> PurePosixPath:
    return PurePosixPath(member.filename.replace("\\", "/"))


def _fits(member: zipfile.ZipInfo, patterns: Sequence[str]) -> bool:
    """Return whether a member's name, or its path where a pattern has one, fits a pattern."""
    path = _path(member)
    return any(
        fnmatch(path.as_posix() if "/" in pattern else path.name, pattern) for pattern in patterns
    )


def _is_clutter(member: zipfile.ZipInfo) -> bool:
    path = _path(member)
    is_hidden = path.name.startswith(".") and path.name != ".."
    return member.is_dir() or "__MACOSX" in path.parts or is_hidden


class _Unpacker:
    """Unpacks streams of one file into memory, or into the work folder once they grow large."""

    def __init__(self, work: Path, limit: int) -> None:
        self._work = work
        self._limit = limit
        self._size = 0

    def drain(self, stream: _Readable) -> Part:
        start = self._read(stream, SMALL)
        if len(start) < SMALL:
            return Part(start, len(start))
        with tempfile.NamedTemporaryFile(dir=self._work, delete=False) as target:
            piece, size = start, 0
            while piece:
                size += target.write(piece)
                piece = self._read(stream, PIECE)
        return Part(Path(target.name), size)

    def _read(self, stream: _Readable, size: int) -> bytes:
        piece = stream.read(size)
        self._size += len(piece)
        if self._size > self._limit:
            raise RefusedFileError(
                f"it unpacks to more than {self._limit:,} bytes (BOATHOUSE_MAX_UNPACKED_BYTES)"
            )
        return piece
