"""Whether bytes are UTF-8 text, and what shape that text has; records are the readers' business."""

import codecs
import re
from dataclasses import dataclass

from boathouse.ingest.content import Part, RefusedFileError
from boathouse.ingest.counting import count


@dataclass
class Shape:
    """What a pass over a text's bytes found; all counts are over the whole part."""

    newlines: int = 0
    has_blank_line: bool = False  # empty, or of nothing but white space
    has_lone_return: bool = False
    longest_line: int = 0  # bytes, an upper bound


_LONE_RETURN = re.compile(rb"\r(?!\n)(?=.)", re.DOTALL)
_BLANK_LINE = re.compile(rb"\n[ \t\r]*\n")
# Those of UTF-32 first: one of them begins like one of UTF-16.
_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


def examine(part: Part) -> Shape:
    """Return the shape of a text.

    Raises:
        RefusedFileError: it is not UTF-8 text; says where and what it looks like.
    """
    shape = Shape()
    decoder = codecs.getincrementaldecoder("utf-8")()
    offset, line_start, tail = 0, 0, b"\n"
    for piece in part.pieces():
        if offset == 0:
            _check_encoding(piece)
        _check_text(piece, decoder, offset, shape.newlines)
        shape.newlines += count(piece, b"\n")
        seam = tail + (without_mark(piece) if offset == 0 else piece)
        if b"\r" in seam:
            shape.has_lone_return |= bool(_LONE_RETURN.search(seam))
        shape.has_blank_line = shape.has_blank_line or bool(_BLANK_LINE.search(seam))
        shape.longest_line, line_start = _longest(piece, offset, line_start, shape.longest_line)
        offset += len(piece)
        tail = seam[-2:]
    _check_text(b"", decoder, offset, shape.newlines, final=True)
    shape.has_lone_return |= tail.endswith(b"\r")
    shape.longest_line = max(shape.longest_line, offset - line_start)
    return shape


def marked_encoding(start: bytes) -> str | None:
    """Return the encoding that a byte order mark at the start of a text says, by Python's name."""
    return next((name for mark, name in _MARKS.items() if start.startswith(mark)), None)


def _check_encoding(start: bytes) -> None:
    """Refuse text that says, or shows by its many NUL bytes, that it is not UTF-8."""
    encoding = marked_encoding(start)
    if encoding == "utf-8-sig":
        encoding = None
    sample = start[:1000]
    if encoding is None and b"\0" in sample:
        for place, name in ((1, "utf-16le"), (0, "utf-16be")):
            if (
                2 * sample[place::2].count(0)
                > len(sample[place::2])
                > 2 * sample[1 - place :: 2].count(0)
            ):
                encoding = name
    if encoding is not None:
        raise RefusedFileError(
            f"the text is {encoding.upper()}, not UTF-8; say so in the contract (`encoding: "
            f"{encoding}`, or `auto`)"
        )


def _longest(piece: bytes, offset: int, line_start: int, longest: int) -> tuple[int, int]:
    """Return an upper bound of the longest line so far, and where the open line starts."""
    first = piece.find(b"\n")
    if first < 0:
        return longest, line_start
    last = piece.rfind(b"\n")
    return max(longest, offset + first - line_start, last - first), offset + last + 1


def _check_text(
    piece: bytes, decoder: codecs.IncrementalDecoder, offset: int, lines: int, final: bool = False
) -> None:
    if b"\0" in piece:
        place = piece.index(b"\0")
        line = lines + piece.count(b"\n", 0, place) + 1
        raise RefusedFileError(
            f"there is a NUL byte at offset {offset + place:,} (line {line:,}): "
            "this is no text, or it is damaged; deliver it again"
        )
    if piece.isascii() and not final and decoder.getstate()[0] == b"":
        return
    pending = len(decoder.getstate()[0])
    try:
        decoder.decode(piece, final)
    except UnicodeDecodeError as error:
        place = error.start - pending  # before the piece, if the character began there
        line = lines + piece.count(b"\n", 0, max(0, place)) + 1
        byte = error.object[error.start]
        raise RefusedFileError(
            f"the text is not UTF-8: byte 0x{byte:02X} at offset {offset + place:,} "
            f"(line {line:,}); say its encoding in the contract (`encoding: cp1252`, or `auto`)"
        ) from None


def without_mark(data: bytes) -> bytes:
    """Return bytes without a UTF-8 byte order mark at the start."""
    return data.removeprefix(codecs.BOM_UTF8)
