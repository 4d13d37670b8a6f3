"""A workbook's ZIP archive and what its parts say of each other; the cells are in `cells`."""

import posixpath
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, BinaryIO

from boathouse.ingest.content import Part, RefusedFileError
from boathouse.ingest.workbook.markup import Handler, read_all, tags
from boathouse.ingest.workbook.numbers import Shows, shows
from boathouse.ingest.workbook.strings import SharedStrings
from boathouse.settings import MIB

_OLD_EXCEL = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"  # also of an encrypted workbook
_PACKAGE_NAME = "EncryptedPackage".encode("utf-16-le")
_SMALL = 64 * MIB  # bytes; of a part that is neither a sheet nor the shared texts
_DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    OSError,
    ValueError,
    ArithmeticError,
    LookupError,
    NotImplementedError,
    RuntimeError,
)
_TAGS = tags("sheet", "workbookPr", "calcPr", "numFmt", "cellXfs", "xf")


@dataclass(frozen=True)
class Sheet:
    """A sheet of cells, and whether it is shown."""

    name: str
    part: str
    is_visible: bool


class Workbook:
    """An open workbook: its sheets, and what all of them share."""

    def __init__(self, archive: zipfile.ZipFile, most_bytes: int) -> None:
        self._archive = archive
        self._most_bytes = most_bytes
        self._members = {
            member.filename.replace("\\", "/").lstrip("/").lower(): member
            for member in archive.infolist()
        }
        self._opened: dict[str, int] = {}
        path = self._workbook_part()
        related = self._relations(path)
        book = _Book()
        self._read(path, book)
        self.is_1904 = book.is_1904
        self.wants_calculation = book.wants_calculation
        self.sheets = [
            Sheet(name, related[relation][1], is_visible)
            for name, relation, is_visible in book.sheets
            if relation not in related or related[relation][0] == "worksheet"
        ]
        self.styles: list[Shows] = []
        self.strings = SharedStrings()
        for kind, part in related.values():
            if kind == "styles":
                formats = _Styles()
                self._read(part, formats)
                self.styles = formats.shows
            elif kind == "sharedStrings":
                self._read(part, self.strings, most_bytes=None)

    def _workbook_part(self) -> str:
        found = [part for kind, part in self._relations("").values() if kind == "officeDocument"]
        if not found:
            raise RefusedFileError("it is no Excel workbook: its archive does not say where one is")
        if found[0].endswith(".bin"):
            raise RefusedFileError("it is a binary workbook (.xlsb); save it as .xlsx")
        return found[0]

    def _relations(self, part: str) -> dict[str, tuple[str, str]]:
        """Return the kind and path of the parts that a part refers to, by their id."""
        folder, _, base = part.rpartition("/")
        path = posixpath.join(folder, "_rels", f"{base}.rels")
        relations = _Relations()
        if part and path.lower() not in self._members:
            return {}
        self._read(path, relations)
        return {
            name: (kind, posixpath.normpath(posixpath.join("/", folder, target)).lstrip("/"))
            for name, (kind, target) in relations.found.items()
        }

    def _read(self, part: str, handler: Handler, most_bytes: int | None = _SMALL) -> None:
        with self.open(part, most_bytes) as stream:
            read_all(stream, part, handler)

    @contextmanager
    def open(self, part: str, most_bytes: int | None = None) -> Iterator[IO[bytes]]:
        """Open a part for reading.

        Raises:
            RefusedFileError: it is missing, damaged or protected, or the parts that were opened
                unpack to too much.
        """
        member = self._members.get(part.lower())
        if member is None:
            raise RefusedFileError(f"it is no whole Excel workbook: {part} is missing in it")
        if member.flag_bits & 1:
            raise RefusedFileError("the workbook is protected by a password")
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise RefusedFileError(f"{part} in the workbook is packed as in no workbook")
        # zipfile gives no more than the archive declares.
        self._opened[part] = member.file_size
        if most_bytes is not None and member.file_size > most_bytes:
            raise RefusedFileError(
                f"{part} in the workbook unpacks to {member.file_size:,} bytes, more than any has"
            )
        if sum(self._opened.values()) > self._most_bytes:
            raise RefusedFileError(
                f"the workbook unpacks to more than {self._most_bytes:,} bytes "
                "(BOATHOUSE_MAX_WORKBOOK_BYTES)"
            )
        with self._archive.open(member) as stream:
            yield stream


@contextmanager
def open_workbook(part: Part, most_bytes: int) -> Iterator[Workbook]:
    """Open a workbook for a `with` block.

    Raises:
        RefusedFileError: it is no workbook, damaged, protected by a password, or would unpack to
            more than `most_bytes`; also while it is read in the block.
    """
    with part.open() as file:
        _check_kind(file, part)
        try:
            with zipfile.ZipFile(file) as archive:
                yield Workbook(archive, most_bytes)
        except _DAMAGE as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise
            detail = str(error).rstrip(".") or "it ends too early"
            raise RefusedFileError(f"it cannot be read as Excel workbook: {detail}") from error


def _check_kind(file: BinaryIO, part: Part) -> None:
    start = file.read(8)
    file.seek(0)
    if start == _OLD_EXCEL:
        if any(_PACKAGE_NAME in piece for piece in part.pieces()):
            raise RefusedFileError("the workbook is protected by a password; save it without one")
        raise RefusedFileError("it is a file of Excel before 2007 (.xls); save it as .xlsx")
    if not start.startswith(b"PK"):
        raise RefusedFileError("it cannot be read as Excel workbook: its content is something else")


class _Relations(Handler):
    """Reads which parts belong to one: `*.rels`."""

    def __init__(self) -> None:
        self.found: dict[str, tuple[str, str]] = {}

    def start(self, name: str, attributes: dict[str, str], /) -> None:
        if name.endswith(" Relationship") and attributes.get("TargetMode") != "External":
            kind = attributes["Type"].rpartition("/")[2]
            self.found[attributes["Id"]] = (kind, attributes["Target"].replace("\\", "/"))


class _Book(Handler):
    """Reads `xl/workbook.xml`."""

    def __init__(self) -> None:
        self.sheets: list[tuple[str, str, bool]] = []
        self.is_1904 = False
        self.wants_calculation = False

    def start(self, name: str, attributes: dict[str, str], /) -> None:
        match _TAGS.get(name):
            case "sheet":
                relation = next(v for key, v in attributes.items() if key.endswith(" id"))
                is_visible = attributes.get("state", "visible") == "visible"
                self.sheets.append((attributes["name"], relation, is_visible))
            case "workbookPr":
                self.is_1904 = attributes.get("date1904") in ("1", "true")
            case "calcPr":
                self.wants_calculation = attributes.get("fullCalcOnLoad") in ("1", "true")


class _Styles(Handler):
    """Reads what each cell style shows: `xl/styles.xml`."""

    def __init__(self) -> None:
        self.shows: list[Shows] = []
        self._codes: dict[int, str] = {}
        self._in_cells = False

    def start(self, name: str, attributes: dict[str, str], /) -> None:
        match _TAGS.get(name):
            case "numFmt":
                self._codes[int(attributes["numFmtId"])] = attributes["formatCode"]
            case "cellXfs":
                self._in_cells = True
            case "xf" if self._in_cells:
                number = int(attributes.get("numFmtId", 0))
                self.shows.append(shows(number, self._codes.get(number)))

    def end(self, name: str, /) -> None:
        if _TAGS.get(name) == "cellXfs":
            self._in_cells = False
