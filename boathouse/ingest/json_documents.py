"""JSON documents, read piece by piece: one array, or one value after the other."""

import codecs
import json
import re
from collections.abc import Iterator
from json.scanner import make_scanner
from typing import Any, NoReturn

from boathouse.ingest.content import Part, RefusedFileError

NOTHING = "there is nothing but white space in it"
_WHITESPACE = re.compile(r"[ \t\n\r]*")
_SEPARATOR = re.compile(r"[ \t\n\r]*([,\]])[ \t\n\r]*")  # of an array, or its end
_LONGEST_WORD = 12  # of JSON's own: what is wrong so near the end of a piece may be cut there
# Numbers stay text, however long; NaN and Infinity are for the columns' types to judge.
_scan = make_scanner(json.JSONDecoder(parse_int=str, parse_float=str, parse_constant=str))  # type: ignore[arg-type]  # typeshed lacks its parameter


def elements(part: Part, path: str, limit: int) -> Iterator[str]:
    """Yield the records of a document: an array's elements, or values one after the other.

    With a path, `data.items`, those of the array at that place in the document, which is then read
    whole. Of a document that is not valid, some are yielded before that is known.

    Raises:
        RefusedFileError: it is not valid JSON, has no array at the path, or a record that is
            longer than the limit (in characters) by more than a piece.
    """
    text = _Text(part, limit)
    try:
        if not text.next():
            raise RefusedFileError(NOTHING)
        if not path:
            yield from _all(text)
            return
        text.read_whole()
        start = text.at
        text.value()
        text.end()
        text.at = _array_at(text.text, start, path)
        yield from _array(text)
    except json.JSONDecodeError as error:
        text.refuse(error)
    except RecursionError:
        raise RefusedFileError("its JSON is nested too deeply to be read") from None


def _all(text: "_Text") -> Iterator[str]:
    if text.next() == "[":
        yield from _array(text)
        text.end()
        return
    while text.next():
        yield text.value()


def _array(text: "_Text") -> Iterator[str]:
    text.at += 1
    if text.next() == "]":
        text.at += 1
        return
    while True:
        # As long as records end before the piece does, this is all there is to do.
        body, at, sign = text.text, text.at, ","
        while sign == ",":
            try:
                end = _scan(body, at)[1]
            except (StopIteration, ValueError):
                break
            separator = _SEPARATOR.match(body, end)
            if not separator or separator.end() == len(body):
                break
            yield body[at:end]
            sign, at = separator[1], separator.end()
        text.at = at
        if sign == ",":
            yield text.value()
            sign = text.next()
            if sign not in (",", "]"):
                raise json.JSONDecodeError("expected ',' or ']'", text.text, text.at)
            text.at += 1
            text.next()
        if sign == "]":
            return


class _Text:
    """The part of a document that is in memory, and a place in it."""

    def __init__(self, part: Part, limit: int) -> None:
        self._pieces = part.pieces()
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")()
        self._limit = limit
        self._lines, self._columns = 0, 0  # before what is in memory
        self.text, self.at = "", 0
        self.more()

    def more(self) -> bool:
        """Read another piece in place of what was read so far; return whether there is one."""
        piece = next(self._pieces, None)
        if piece is None:
            return False
        gone = self.text[: self.at]
        breaks = gone.count("\n")
        self._lines += breaks
        self._columns = len(gone) - gone.rfind("\n") - 1 + (0 if breaks else self._columns)
        self.text = self.text[self.at :] + self._decoder.decode(piece)
        self.at = 0
        return True

    def read_whole(self) -> None:
        """Read all that follows."""
        pieces = [self._decoder.decode(piece) for piece in self._pieces]
        self.text = "".join([self.text, *pieces])

    def next(self) -> str:
        """Go to the next character that is no white space, and return it; at the end, nothing."""
        while True:
            self.at = _skip(self.text, self.at)
            if self.at < len(self.text) or not self.more():
                return self.text[self.at : self.at + 1]

    def end(self) -> None:
        """Make sure that nothing follows."""
        if self.next():
            raise json.JSONDecodeError("there is more after the array", self.text, self.at)

    def value(self) -> str:
        """Return the text of the value that begins here, and go to its end."""
        while True:
            try:
                _, end = _scanned(self.text, self.at)
            except json.JSONDecodeError as error:
                length = len(self.text) - self.at
                if not _may_be_cut(error, self.text) or not self.more():
                    raise
                if length > self._limit:
                    raise RefusedFileError(
                        f"the value that begins at {self._place(self.at)} is longer than the limit "
                        f"of {self._limit:,} (BOATHOUSE_MAX_RECORD_BYTES), or never ends"
                    ) from None
                continue
            # A number may go on in the next piece.
            if end == len(self.text) and self.text[self.at] not in '{["' and self.more():
                continue
            found = self.text[self.at : end]
            self.at = end
            return found

    def refuse(self, error: json.JSONDecodeError) -> NoReturn:
        """Raise what is wrong with the document."""
        place = self._place(error.pos)
        raise InvalidError(f"it is not valid JSON: {error.msg} at {place}") from None

    def _place(self, at: int) -> str:
        line = self.text.count("\n", 0, at)
        column = at - self.text.rfind("\n", 0, at) + (0 if line else self._columns)
        return f"line {self._lines + line + 1:,}, column {column:,}"


class InvalidError(RefusedFileError):
    """A document is not valid JSON."""


def _may_be_cut(error: json.JSONDecodeError, text: str) -> bool:
    """Return whether what is wrong with a text may be that it goes on."""
    return error.msg.startswith("Unterminated string") or error.pos >= len(text) - _LONGEST_WORD


def _scanned(text: str, at: int) -> tuple[Any, int]:
    try:
        return _scan(text, at)
    except StopIteration as error:
        raise json.JSONDecodeError("Expecting value", text, error.value) from None


def _array_at(text: str, at: int, path: str) -> int:
    """Return where the array begins that stands at a path in a valid document.

    Raises:
        RefusedFileError: there is none.
    """
    for key in path.split("."):
        at = _value_of(text, at, key)
        if at < 0:
            raise RefusedFileError(f"there is no {key!r} in it (records: {path})")
    if text[at : at + 1] != "[":
        raise RefusedFileError(f"what stands at {path!r} in it is no array (records: {path})")
    return at


def _value_of(text: str, at: int, key: str) -> int:
    """Return where the value of a key begins, the last one if it comes twice; -1 without one."""
    found = -1
    if text[at : at + 1] != "{":
        return found
    at = _skip(text, at + 1)
    while text[at : at + 1] != "}":
        name, at = _scanned(text, at)
        at = _skip(text, _skip(text, at) + 1)
        if name == key:
            found = at
        _, at = _scanned(text, at)
        at = _skip(text, at)
        if text[at : at + 1] == ",":
            at = _skip(text, at + 1)
    return found


def _skip(text: str, at: int) -> int:
    """Return the place of the first character from `at` on that is no white space."""
    space = _WHITESPACE.match(text, at)
    return space.end() if space else at
