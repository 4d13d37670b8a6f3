"""XML as a stream of events, with bounds on what a hostile file can make of the memory."""

from collections.abc import Iterator
from typing import IO
from xml.parsers import expat

from boathouse.ingest.content import RefusedFileError
from boathouse.settings import MIB

_PIECE = MIB // 4
_LONGEST_TAG = 8 * MIB  # a comment counts as a tag
_MOST_NAMES = 10_000
_DEEPEST = 100
_NAMESPACES = (
    "http://schemas.openxmlformats.org/spreadsheetml/2006/main",
    "http://purl.oclc.org/ooxml/spreadsheetml/main",  # the strict form
)


def tags(*names: str) -> dict[str, str]:
    """Return the full names of a workbook's elements, each with its short one."""
    return {f"{space} {name}": name for space in _NAMESPACES for name in names}


class Handler:
    """What is done at the elements of an XML part; nothing, unless a subclass says else."""

    def start(self, name: str, attributes: dict[str, str], /) -> None:
        """Take the start of an element; its name has its namespace and a space before it."""

    def end(self, name: str, /) -> None:
        """Take the end of an element."""

    def text(self, text: str, /) -> None:
        """Take text, or a piece of it."""


def read(stream: IO[bytes], part: str, handler: Handler) -> Iterator[None]:
    """Hand a part's XML to a handler, and yield after each piece of it.

    Raises:
        RefusedFileError: it is no XML, or such as no workbook has.
    """
    depth = 0

    def start(name: str, attributes: dict[str, str]) -> None:
        nonlocal depth
        depth += 1
        handler.start(name, attributes)

    def end(name: str) -> None:
        nonlocal depth
        depth -= 1
        handler.end(name)

    def doctype(*_: object) -> None:
        raise RefusedFileError(f"{part} in the workbook declares a document type, as none may")

    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True
    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = handler.text
    parser.StartDoctypeDeclHandler = doctype
    size = 0
    try:
        while piece := stream.read(_PIECE):
            parser.Parse(piece, False)
            size += len(piece)
            # What expat keeps: a tag until its end is seen, open elements, and every name.
            if (
                size - parser.CurrentByteIndex > _LONGEST_TAG
                or depth > _DEEPEST
                or len(parser.intern) > _MOST_NAMES
            ):
                raise RefusedFileError(f"{part} in the workbook is no XML that a workbook has")
            yield
        parser.Parse(b"", True)
    except expat.ExpatError as error:
        raise RefusedFileError(f"{part} in the workbook is damaged: {error}") from error
    yield


def read_all(stream: IO[bytes], part: str, handler: Handler) -> None:
    """Hand a part's XML to a handler, all of it.

    Raises:
        RefusedFileError: as for `read`.
    """
    for _ in read(stream, part, handler):
        pass
