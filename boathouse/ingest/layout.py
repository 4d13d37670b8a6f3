"""From a text as a source writes it to one that the readers know: UTF-8, its header first."""

import codecs
import io
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from unicodedata import name

from boathouse.contracts import Landing
from boathouse.ingest.content import SMALL, Part, RefusedFileError
from boathouse.ingest.text import marked_encoding

_SAMPLE = 1 << 20  # bytes from which an encoding is told
_SIGNS = "€£¥¢§°«»–—‘’‚“”„…©®™ªº¿¡·×±µ²½¼¾\u00a0"


def laid_out(part: Part, landing: Landing, work: Path, *, is_csv: bool) -> Part:
    """Return a text in UTF-8; of CSV, without what stands before the header, and comments.

    Raises:
        RefusedFileError: it is not in the encoding that the contract says, or none is found.
    """
    skipped = landing.skip_rows + landing.header_row - 1
    has_more = is_csv and (skipped or landing.comment)
    if landing.encoding == "utf-8" and not has_more:
        return part
    pieces = _decoded(part, landing.encoding)
    if has_more:
        pieces = _records(_lines(pieces), skipped, landing.comment)
    return _kept((piece.encode("utf-8", "surrogatepass") for piece in pieces), work)


def _decoded(part: Part, encoding: str) -> Iterator[str]:
    known = found_encoding(part) if encoding == "auto" else encoding
    decoder = codecs.getincrementaldecoder(known)()
    offset = 0
    for piece, is_last in _with_last(part.pieces()):
        try:
            yield decoder.decode(piece, is_last)
        except UnicodeError as error:
            place = offset + getattr(error, "start", 0)
            raise RefusedFileError(
                f"the text is not {known}, as the contract says (encoding: {encoding}), "
                f"at offset {place:,}: {getattr(error, 'reason', error)}"
            ) from None
        offset += len(piece)


def _with_last(pieces: Iterator[bytes]) -> Iterator[tuple[bytes, bool]]:
    before = next(pieces, b"")
    for piece in pieces:
        yield before, False
        before = piece
    yield before, True


def found_encoding(part: Part) -> str:
    """Return the encoding that a text has by its mark, as UTF-8, or by its bytes.

    Raises:
        RefusedFileError: no encoding makes text of them.
    """
    sample = next(part.pieces(), b"")[:_SAMPLE]
    if marked := marked_encoding(sample):
        return marked
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        for piece in part.pieces():
            decoder.decode(piece)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        if _is_western(sample):
            return "cp1252"
        from charset_normalizer import from_bytes  # which takes long to import

        best = from_bytes(sample).best()
        if best is None:
            raise RefusedFileError("no encoding makes text of it (encoding: auto)") from None
        return best.encoding
    return "utf-8"


def _is_western(sample: bytes) -> bool:
    """Return whether bytes are words of western Europe, which are too few for statistics.

    Such words have more letters of ASCII than others; those of other alphabets have none.
    """
    try:
        text = sample.decode("cp1252")
    except UnicodeDecodeError:
        return False
    others = {letter for letter in text if not letter.isascii()}
    if not all(letter in _SIGNS or name(letter, "").startswith("LATIN ") for letter in others):
        return False
    words = [word for word in re.findall(r"[^\W\d_]+", text) if not word.isascii()]
    letters = "".join(words)
    return 2 * sum(letter.isascii() for letter in letters) > len(letters) or not words


def _lines(pieces: Iterator[str]) -> Iterator[str]:
    """Yield the lines of a text with their ends, whatever end they have."""
    rest = ""
    for piece in pieces:
        text = rest + piece
        # The last one may go on in the next piece, and a return with a newline.
        lines = io.StringIO(text, newline="").readlines()
        rest = lines.pop() if lines else ""
        yield from lines
    if rest:
        yield from io.StringIO(rest, newline="").readlines()


def _records(lines: Iterator[str], skipped: int, comment: str) -> Iterator[str]:
    """Yield lines after the first ones, without comments; none begins within quotes."""
    is_quoted = False
    for number, line in enumerate(lines):
        if number < skipped:
            continue
        if comment and not is_quoted and line.startswith(comment):
            continue
        is_quoted ^= line.count('"') % 2 == 1
        yield line


def _kept(pieces: Iterator[bytes], work: Path) -> Part:
    """Return bytes as a part: in memory while they are few, else in the work folder."""
    start = b"".join(_up_to(SMALL, pieces))
    if len(start) < SMALL:
        return Part(start, len(start))
    with tempfile.NamedTemporaryFile(dir=work, delete=False) as target:
        size = target.write(start) + sum(target.write(piece) for piece in pieces)
    return Part(Path(target.name), size)


def _up_to(limit: int, pieces: Iterator[bytes]) -> Iterator[bytes]:
    size = 0
    while size < limit and (piece := next(pieces, None)) is not None:
        size += len(piece)
        yield piece
