"""What every reader hands on: chunks of records, and where in which file each one stood.

A chunk is a SQL relation of text values. Many small files share a chunk, so that DuckDB reads
one large file in place of a thousand small ones.
"""

import codecs
import json
import re
import sys
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

from boathouse.contracts import Contract
from boathouse.ingest.content import Part
from boathouse.ingest.text import without_mark
from boathouse.settings import MIB, Settings
from boathouse.sql import literal

# Of a rejected record, in characters. The catalogue keeps small inserts and the least and greatest
# value of a column, so that one huge text would make it huge; the archived original has it all.
LONGEST_TEXT = 100_000
_BYTES_A_GROUP, _FEWEST_A_GROUP, MOST_A_GROUP = 64 * MIB, 2048, 122_880
_BYTES_A_VALUE = 64  # where it is a text, and not known
LONG_RECORD, LONG_RECORDS = 4096, 4 * MIB  # bytes; so many of long ones are read at once
# A return at the very end of a piece may have its newline in the next one.
_LINE_END = re.compile(rb"\r?\n|\r(?=.)", re.DOTALL)
BROKEN_QUOTES = "the quoting is broken: text goes on after a closing quote"


@dataclass(frozen=True)
class Span:
    """Consecutive records of one file, standing on consecutive lines of a chunk's blob."""

    file_no: int
    first_row: int
    count: int
    first_line: int  # counted from 0


@dataclass
class Blob:
    """A text file of records, each a line."""

    path: Path
    spans: list[Span] = field(default_factory=list)
    size: int = 0  # bytes
    longest_line: int = 2 * MIB  # bytes, an upper bound; not below DuckDB's own limit

    @property
    def lines(self) -> int:
        """Return how many records it has."""
        return self.spans[-1].first_line + self.spans[-1].count


@dataclass(frozen=True)
class Malformed:
    """A record that could not be split into fields at all."""

    file_no: int
    row: int
    reason: str
    text: str


@dataclass(frozen=True)
class Value:
    """SQL over a chunk's relation for one column: its text, and what may be wrong with it."""

    text: str
    is_nested: str | None = None  # true when the value is an object or an array
    is_twice: str | None = None  # true when the record gives the column more than once
    problem: str | None = None  # the reason why it is no value, whatever the text; or null


@dataclass
class Chunk:
    """Records that are read in one statement.

    With `blob`, the relation's rows are its lines, in their order; without, the relation has the
    columns `_file_no` and `_row` itself.
    """

    relation: str
    values: dict[str, Value]
    original: str = ""  # SQL for the record's original text; without, it is the blob's line
    not_a_record: str | None = None  # SQL, true when it is no record of the declared format
    extra: str | None = None  # SQL for the rescued columns as JSON text
    others: str | None = None  # SQL for what is wrong with fields beyond the contract's columns
    blob: Blob | None = None
    delimiter: str = ""  # of the records in a blob that DuckDB splits
    rejects_table: str | None = None  # where DuckDB notes the lines it could not split
    scratch_tables: list[str] = field(default_factory=list)


class BlobWriter:
    """Writes records of many files one after the other into text files of limited size."""

    def __init__(self, work: Path, name: str, limit: int) -> None:
        self._work = work
        self._name = name
        self._limit = limit
        self.blobs: list[Blob] = []

    def add(self, file_no: int, first_row: int, lines: bytes, count: int) -> None:
        """Append `count` lines, each ending in a newline, that are records of a file."""
        if count == 0:
            return
        # DuckDB works on 2,048 records at once, with several texts for each.
        limit = min(self._limit, LONG_RECORDS) if len(lines) > count * LONG_RECORD else self._limit
        if not self.blobs or self.blobs[-1].size + len(lines) > limit:
            self.blobs.append(Blob(self._work / f"{self._name}-{len(self.blobs)}.txt"))
        blob = self.blobs[-1]
        with blob.path.open("ab") as file:
            file.write(lines)
        blob.size += len(lines)
        blob.longest_line = max(blob.longest_line, len(lines))
        last = blob.spans[-1] if blob.spans else Span(file_no, first_row, 0, 0)
        if (last.file_no, last.first_row + last.count) == (file_no, first_row):
            blob.spans[-1:] = [replace(last, count=last.count + count)]
        else:
            blob.spans.append(Span(file_no, first_row, count, last.first_line + last.count))


@dataclass(frozen=True)
class LongLine:
    """A line that is too long to be kept in memory."""

    start: str
    length: int  # characters


def line_pieces(part: Part) -> Iterator[bytes]:
    """Yield a part's bytes in pieces of whole lines, each ending in one newline character.

    A byte order mark is dropped; the last line gets its end.
    """
    return (piece for piece in line_pieces_within(part, sys.maxsize) if isinstance(piece, bytes))


def line_pieces_within(part: Part, limit: int) -> Iterator[bytes | LongLine]:
    """Yield the same, without having lines in memory that are much longer than a limit (bytes)."""
    for number, piece in enumerate(_cut_at_lines(part, limit)):
        if isinstance(piece, LongLine):
            yield piece
            continue
        lines = without_mark(piece) if number == 0 else piece
        if b"\r" in lines:
            lines = lines.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        yield lines


def _cut_at_lines(part: Part, limit: int) -> Iterator[bytes | LongLine]:
    carried: list[bytes] = []
    pieces = part.pieces()
    for piece in pieces:
        # A return at the very end may have its newline in the next piece.
        end = max(piece.rfind(b"\n"), piece.rfind(b"\r", 0, -1)) + 1
        if end:
            yield b"".join([*carried, piece[:end]])
            carried = [piece[end:]] if end < len(piece) else []
            continue
        carried.append(piece)
        if sum(map(len, carried)) > limit:
            line, rest = _skip_line(carried, pieces)
            yield line
            carried = [rest] if rest else []
    if carried:
        yield b"".join(carried) + b"\n"


def _skip_line(start: list[bytes], pieces: Iterator[bytes]) -> tuple[LongLine, bytes]:
    """Return a line that is too long, and what follows it in the last piece that was read."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    text = decoder.decode(b"".join(start))
    length = len(text)
    for piece in pieces:
        end = _LINE_END.search(piece)
        length += len(decoder.decode(piece[: end.start()] if end else piece))
        if end:
            return LongLine(text[: LONGEST_TEXT + 1], length), piece[end.end() :]
    return LongLine(text[: LONGEST_TEXT + 1], length), b""


def without_lines(spans: list[Span], lines: list[int]) -> list[Span]:
    """Return spans without some lines of the blob (sorted, counted from 0)."""
    remaining: list[Span] = []
    skipped = iter(lines)
    skip = next(skipped, None)
    for span in spans:
        start, end = span.first_line, span.first_line + span.count
        while skip is not None and skip < end:
            if skip > start:
                remaining.append(_cut(span, start, skip))
            start = skip + 1
            skip = next(skipped, None)
        if start < end:
            remaining.append(_cut(span, start, end))
    return remaining


def _cut(span: Span, start: int, end: int) -> Span:
    return Span(span.file_no, span.first_row + start - span.first_line, end - start, start)


def locate(spans: list[Span], line: int) -> tuple[int, int]:
    """Return the file number and record number of a line of the blob."""
    span = spans[bisect_right(spans, line, key=lambda span: span.first_line) - 1]
    return span.file_no, span.first_row + line - span.first_line


class Member(NamedTuple):
    """SQL for a value in a JSON object: its text, or what JSON writes in its place."""

    text: str
    is_json: bool = False


def as_object(members: Iterable[tuple[str, Member]], *, with_nulls: bool = True) -> str:
    """Return SQL for the text of a JSON object of values by their names.

    What is done for each column keeps memory of its own, which counts in tables with many of them:
    so all is done in one list.
    """
    entries = ", ".join(
        f"{{'name': {literal(json.dumps(name, ensure_ascii=False))}, 'text': {member.text}, "
        f"'is_json': {member.is_json}}}"
        for name, member in members
    )
    entries = f"[{entries}]"
    if not with_nulls:
        entries = f"list_filter({entries}, lambda entry: entry.text is not null)"
    value = (
        "case when entry.text is null then 'null' "
        "when entry.is_json and entry.text not in ('nan', 'inf', '-inf') then entry.text "
        "else to_json(entry.text)::varchar end"
    )
    written = f"list_transform({entries}, lambda entry: entry.name || ':' || {value})"
    return f"'{{' || array_to_string({written}, ',') || '}}'"


def keep_unknown(chunk: Chunk, contract: Contract, members: dict[str, Member]) -> None:
    """Put those of a chunk's columns that the contract does not know into the rescue column.

    `members` has every column. Nothing is done without a rescue column.
    """
    known = {column.name for column in contract.file_columns}
    new = {name: member for name, member in members.items() if name not in known}
    if contract.landing.new_columns != "rescue" or not new:
        return
    chunk.extra = f"nullif({as_object(new.items(), with_nulls=False)}, '{{}}')"
    problems = [problem for name in new if (problem := chunk.values[name].problem)]
    if problems:
        chunk.others = f"nullif(concat_ws('; ', {', '.join(problems)}), '')"


def group_rows(row_bytes: int) -> int:
    """Return how many rows of a size a group in a Parquet file may have: it is held in memory."""
    return min(max(_BYTES_A_GROUP // max(1, row_bytes), _FEWEST_A_GROUP), MOST_A_GROUP)


def copy_to(path: Path, query: str, width: int = 1) -> str:
    """Return SQL that writes a query's rows, made of so many values, to a file, for a while."""
    rows = group_rows(width * _BYTES_A_VALUE)
    options = f"format parquet, compression uncompressed, row_group_size {rows}"
    return f"copy ({query}) to {literal(str(path))} ({options})"


def shortened(text: str, length: int = 0) -> str:
    """Return the text of a rejected record as it is kept: whole, or its start if very long.

    `length` is that of the whole, where `text` is only its start.
    """
    if len(text) <= LONGEST_TEXT:
        return text
    whole = length or len(text)
    return f"{text[:LONGEST_TEXT]} … (cut: {whole:,} characters in the archived original)"


def shortened_sql(text: str) -> str:
    """Return SQL that does the same."""
    return (
        f"case when length({text}) <= {LONGEST_TEXT} then {text} "
        f"else left({text}, {LONGEST_TEXT}) || ' … (cut: ' || "
        f"format('{{:,}}', length({text})) || ' characters in the archived original)' end"
    )


def too_long(length: int, settings: Settings) -> str:
    """Return the reason for a record longer than the limit."""
    return (
        f"the record is {length:,} characters long, more than the limit of "
        f"{settings.max_record_bytes:,} (BOATHOUSE_MAX_RECORD_BYTES)"
    )


def wrong_width(fields: list[str], expected: int) -> str:
    """Return the reason for a record with too few or too many fields, or nothing.

    Empty fields beyond the expected ones are no fields.
    """
    found = len(fields)
    while found > expected and not fields[found - 1]:
        found -= 1
    if found == expected:
        return ""
    return f"the record has {found} field{'' if found == 1 else 's'}, the header {expected}"
