"""A sheet's rows, read as a stream: each cell as text, with what is wrong with it."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache

from boathouse.ingest.content import RefusedFileError
from boathouse.ingest.workbook.markup import Handler, read, tags
from boathouse.ingest.workbook.numbers import Shows, Text, moment_text, number_text, time_text
from boathouse.ingest.workbook.package import Sheet, Workbook
from boathouse.ingest.workbook.strings import unescape

_TAGS = tags("row", "c", "v", "f", "is", "t", "rPh", "mergeCell")
_LONGEST_FORMULA = 60  # characters, as shown
_MOST_COLUMNS = 16_384
_MOST_MERGED = 10_000
_DIGITS = "0123456789"


@dataclass
class Row:
    """A row that has something in it: its cells by column, counted from 0; their empty ones not."""

    number: int
    cells: dict[int, Text] = field(default_factory=dict)
    size: int = 0  # characters of its cells
    twice: str = ""  # a cell that is given more than once


@dataclass(frozen=True)
class Merged:
    """Cells shown as one; only the first of them can have a value. Counted from 0 and 1."""

    name: str
    columns: range
    rows: range


class SheetReader:
    """Reads a sheet's rows (`rows`); afterwards `merged` has its merged cells."""

    def __init__(self, book: Workbook, sheet: Sheet, longest_row: int) -> None:
        self._book = book
        self._sheet = sheet
        self._handler = _Cells(book, longest_row)

    @property
    def merged(self) -> list[Merged]:
        """Return the merged cells."""
        return self._handler.merged

    def rows(self) -> Iterator[Row]:
        """Yield the rows that are not blank, in order.

        The texts of a row that is longer than the longest are left out, its size is not.

        Raises:
            RefusedFileError: the sheet is missing or damaged.
        """
        with self._book.open(self._sheet.part) as stream:
            for _ in read(stream, self._sheet.part, self._handler):
                yield from self._handler.rows
                self._handler.rows.clear()


class _Cells(Handler):
    """Collects rows while a sheet's XML goes by."""

    def __init__(self, book: Workbook, longest_row: int) -> None:
        self.rows: list[Row] = []
        self.merged: list[Merged] = []
        self._book = book
        self._longest_row = longest_row
        self._row = Row(0)
        self._column = -1
        self._attributes: dict[str, str] = {}
        self._pieces: list[str] = []
        self._formula: list[str] | None = None
        self._has_value = False
        self._target: list[str] | None = None  # what the text that comes now is added to
        self._in_reading = False

    def start(self, name: str, attributes: dict[str, str], /) -> None:
        tag = _TAGS.get(name)
        if tag == "c":
            self._attributes = attributes
            place = attributes.get("r")
            self._column = _column(place.rstrip(_DIGITS)) if place else self._column + 1
            if self._column >= _MOST_COLUMNS:
                raise RefusedFileError("the workbook is damaged: a row has too many cells")
            self._pieces = []
            self._formula = None
            self._has_value = False
        elif tag == "v":
            self._has_value = True
            self._target = self._pieces
        elif tag == "t":
            self._target = None if self._in_reading else self._pieces
        elif tag == "f":
            self._target = self._formula = []
        elif tag == "rPh":
            self._in_reading = True
        elif tag == "row":
            number = attributes.get("r")
            self._row = Row(int(number) if number else self._row.number + 1)
            self._column = -1
        elif tag == "mergeCell":
            self._merge(attributes["ref"])

    def end(self, name: str, /) -> None:
        tag = _TAGS.get(name)
        if tag in ("v", "t", "f"):
            self._target = None
        elif tag == "c":
            self._take_cell()
        elif tag == "rPh":
            self._in_reading = False
        elif tag == "row" and self._row.cells:
            self.rows.append(self._row)

    def text(self, text: str, /) -> None:
        if self._target is None:
            return
        if self._target is self._formula:
            if len(self._target) < _LONGEST_FORMULA:  # it is only shown
                self._target.append(text[:_LONGEST_FORMULA])
            return
        self._row.size += len(text)
        if self._row.size <= self._longest_row:
            self._target.append(text)

    def _take_cell(self) -> None:
        cell = self._cell("".join(self._pieces))
        if not cell.text and not cell.problem:
            return
        row = self._row
        if self._column in row.cells:
            row.twice = self._attributes.get("r", "")
        row.cells[self._column] = cell

    def _cell(self, written: str) -> Text:
        kind = self._attributes.get("t", "n")
        if self._formula is not None and self._is_not_calculated(kind, written):
            formula = "".join(self._formula)[:_LONGEST_FORMULA]
            return Text(
                "",
                f"a formula{f' (={formula})' if formula else ''} without a stored value: open the "
                "workbook in a program that calculates, save it and deliver it again",
            )
        match kind:
            case "s" if written:
                return Text(self._shared(written))
            case "str" | "inlineStr":
                return Text(unescape(written))
            case _ if not written:
                return Text("")
            case "b" if written in ("0", "1", "true", "false"):
                return Text("true" if written in ("1", "true") else "false")
            case "e":
                return Text(written, f"{written}, an error in the workbook")
            case "d":
                return Text(_iso_text(written))
            case "n":
                return self._number(written.strip())
        return Text(written, f"{written}, not what the workbook says it is ({kind})")

    def _is_not_calculated(self, kind: str, written: str) -> bool:
        """Return whether a formula's value is not there.

        Programs that do not calculate ask for it (`fullCalcOnLoad`) and write 0, or nothing.
        """
        if kind == "str":
            return not self._has_value
        return not written or (written == "0" and kind == "n" and self._book.wants_calculation)

    def _shared(self, written: str) -> str:
        strings = self._book.strings
        number = int(written)
        if not 0 <= number < len(strings):
            raise RefusedFileError(
                f"the workbook is damaged: there is no shared text {number:,}, which row "
                f"{self._row.number:,} of its sheet asks for"
            )
        text = strings[number]
        self._row.size += len(text)
        return text if self._row.size <= self._longest_row else "…"

    def _number(self, written: str) -> Text:
        style = int(self._attributes.get("s", 0))
        styles = self._book.styles
        if style and not 0 <= style < len(styles):
            raise RefusedFileError(f"the workbook is damaged: there is no cell style {style:,}")
        format_shows = styles[style] if styles else Shows.NUMBER
        if format_shows is Shows.NUMBER:
            return number_text(written)
        return time_text(written, format_shows, self._book.is_1904)

    def _merge(self, ref: str) -> None:
        first, _, last = ref.partition(":")
        if not last or first == last:
            return
        if len(self.merged) == _MOST_MERGED:
            raise RefusedFileError(f"the sheet has more than {_MOST_MERGED:,} merged cells")
        columns = range(_column(first.rstrip(_DIGITS)), _column(last.rstrip(_DIGITS)) + 1)
        rows = range(_row_number(first), _row_number(last) + 1)
        self.merged.append(Merged(ref, columns, rows))


def column_name(column: int) -> str:
    """Return a column's letters: 0 → `A`, 27 → `AB`."""
    name = ""
    column += 1
    while column:
        column, rest = divmod(column - 1, 26)
        name = chr(ord("A") + rest) + name
    return name


@cache
def _column(letters: str) -> int:
    """Return the number of a column: `AB` → 27."""
    found = 0
    for letter in letters:
        found = 26 * found + ord(letter) - ord("A") + 1
    if not letters.isascii() or not letters.isupper() or not 0 < found <= _MOST_COLUMNS:
        raise RefusedFileError(f"the workbook is damaged: there can be no column {letters[:20]!r}")
    return found - 1


def _row_number(place: str) -> int:
    return int(place[len(place.rstrip(_DIGITS)) :])


def _iso_text(written: str) -> str:
    """Return a cell that is written as an ISO time the way other dates are; times keep theirs."""
    try:
        moment = datetime.fromisoformat(written)
    except ValueError:
        return written
    return written if moment.tzinfo else moment_text(moment)
