"""CSV files as chunks of records.

Files that are plain (one record a line, and quotes only around whole fields) go into one blob for
each header, which DuckDB splits; it notes the lines that have too few or too many fields. Files
with line breaks inside quotes, or with quotes elsewhere, are split by Python's csv module instead,
which is slower and takes anything: DuckDB and csv do not agree on what broken quoting means.
Both give the same records; DuckDB drops empty fields beyond the header's, so Python does too.
"""

import csv
import io
import re
from collections.abc import Iterator
from pathlib import Path

from boathouse.contracts import Contract
from boathouse.ingest.content import Part, RefusedFileError
from boathouse.ingest.counting import count, has_quoted_fields_only
from boathouse.ingest.dialect import spelled
from boathouse.ingest.header import HEADER_LIMIT, Header, read_header, start_of, without_header
from boathouse.ingest.records import (
    BROKEN_QUOTES,
    Blob,
    BlobWriter,
    Chunk,
    Malformed,
    Member,
    Value,
    keep_unknown,
    line_pieces,
    shortened,
    too_long,
    wrong_width,
)
from boathouse.ingest.text import Shape, examine
from boathouse.settings import MIB, Settings
from boathouse.sql import literal, path_literal

ROWS_A_GROUP = 50_000
BYTES_A_BLOB = 32 * MIB  # DuckDB keeps the lines of a file whose bad ones it is to show
CHARACTERS_A_GROUP = 16 * MIB


class CsvReader:
    """Collects the CSV files of a batch; `chunks` then says how to read them."""

    def __init__(self, contract: Contract, settings: Settings, work: Path) -> None:
        self._contract = contract
        self._settings = settings
        self._work = work
        self._headers: dict[bytes, Header] = {}
        self._blobs: dict[Header, BlobWriter] = {}
        self._tokenised: list[tuple[Header, Path]] = []
        self.malformed: list[Malformed] = []

    def add(self, file_no: int, part: Part, first_row: int, *, plain: bool = True) -> int:
        """Take in a part of a file and return how many records it has.

        Raises:
            RefusedFileError: the header does not meet the contract, or the text is no CSV.
        """
        shape = examine(part)
        header = self._header(part)
        if plain and self._is_plain(part, shape, header):
            return self._add_plain(file_no, part, first_row, header)
        return self._tokenise(file_no, part, first_row, header)

    def _header(self, part: Part) -> Header:
        start = start_of(part)
        line = re.split(rb"[\r\n]", start, maxsplit=1)[0]
        if self._contract.landing.no_header:
            return without_header(start, self._contract)
        if b'"' in line:  # and may go on
            return read_header(start, self._contract)
        if line not in self._headers:
            self._headers[line] = read_header(start, self._contract)
        return self._headers[line]

    def _is_plain(self, part: Part, shape: Shape, header: Header) -> bool:
        """Return whether every record stands on a line of its own, and DuckDB can split it."""
        if shape.longest_line > self._settings.max_record_bytes or header.lines > 1:
            return False
        return all(
            b'"' not in lines or has_quoted_fields_only(lines, header.delimiter)
            for lines in line_pieces(part)
        )

    def _add_plain(self, file_no: int, part: Part, first_row: int, header: Header) -> int:
        writer = self._blobs.setdefault(
            header,
            BlobWriter(self._work, f"csv-{len(self._blobs)}", BYTES_A_BLOB),
        )
        rows = 0
        for number, piece in enumerate(line_pieces(part)):
            is_first = number == 0 and header.lines > 0
            lines = without_empty_lines(piece[piece.index(b"\n") + 1 :] if is_first else piece)
            added = count(lines, b"\n")
            writer.add(file_no, first_row + rows, lines, added)
            rows += added
        return rows

    def _tokenise(self, file_no: int, part: Part, first_row: int, header: Header) -> int:
        # Only here, since it takes long to import.
        import pyarrow as pa
        import pyarrow.parquet as pq

        path = self._work / f"tokenised-{len(self._tokenised)}.parquet"
        names = [f"c{index}" for index in range(len(header.columns))]
        schema = pa.schema(
            [
                ("_file_no", pa.int32()),
                ("_row", pa.int64()),
                ("original", pa.large_string()),
                *((name, pa.string()) for name in names),
            ]
        )
        row = first_row - 1
        malformed: list[Malformed] = []
        rows: list[tuple[object, ...]] = []
        size = 0
        with pq.ParquetWriter(path, schema) as writer:

            def write_out() -> None:
                nonlocal size
                size = 0
                columns = zip(*rows, strict=True) if rows else [()] * len(schema)
                arrays = [pa.array(c, kind) for c, kind in zip(columns, schema.types, strict=True)]
                writer.write_table(pa.Table.from_arrays(arrays, schema=schema))
                rows.clear()

            for fields, text, problem in self._split(part, header):
                row += 1
                if problem:
                    malformed.append(Malformed(file_no, row, problem, text))
                    continue
                rows.append((file_no, row, text, *fields[: len(names)]))
                size += len(text)
                if len(rows) == ROWS_A_GROUP or size > CHARACTERS_A_GROUP:
                    write_out()
            write_out()
        self.malformed += malformed
        self._tokenised.append((header, path))
        return row - first_row + 1

    def _split(self, part: Part, header: Header) -> Iterator[tuple[list[str], str, str]]:
        """Yield each record's fields, original text, and what is wrong with it if anything."""
        with _open_text(part) as lines:
            recorder = _Recorder(lines, HEADER_LIMIT)
            if header.lines:
                next(csv.reader(recorder, delimiter=header.delimiter))
                recorder.take()
            recorder.limit = self._settings.max_record_bytes
            records = csv.reader(recorder, delimiter=header.delimiter, strict=True)
            while True:
                problem = ""
                fields: list[str] = []
                try:
                    fields = next(records)
                except StopIteration:
                    return
                except _TooLongError:
                    text, length = recorder.skip()
                    records = csv.reader(recorder, delimiter=header.delimiter, strict=True)
                    yield [], shortened(text, length), too_long(length, self._settings)
                    continue
                except csv.Error as error:
                    if "unexpected end" in str(error):
                        raise RefusedFileError(_never_closed(recorder.first_line)) from None
                    problem = BROKEN_QUOTES
                text = recorder.take()
                if not text:
                    continue
                problem = problem or wrong_width(fields, len(header.columns))
                yield fields, shortened(text) if problem else text, problem

    def chunks(self) -> list[Chunk]:
        """Return how to read all that was added."""
        chunks = [
            _blob_chunk(header, blob, f"csv_rejects_{number}_{part}")
            for number, (header, writer) in enumerate(self._blobs.items())
            for part, blob in enumerate(writer.blobs)
        ]
        for header, path in self._tokenised:
            values = {name: Value(f"c{index}") for index, name in enumerate(header.columns)}
            chunks.append(Chunk(f"read_parquet({path_literal(path)})", values, original="original"))
        for chunk in chunks:
            for name, value in chunk.values.items():
                text = spelled(value.text, self._contract.column(name), self._contract.landing)
                chunk.values[name] = Value(text)
            members = {name: Member(value.text) for name, value in chunk.values.items()}
            keep_unknown(chunk, self._contract, members)
        return chunks


def _blob_chunk(header: Header, blob: Blob, rejects_table: str) -> Chunk:
    columns = ", ".join(f"c{index}: 'VARCHAR'" for index in range(len(header.columns)))
    relation = (
        f"read_csv({path_literal(blob.path)}, auto_detect = false, header = false, "
        f"delim = {literal(header.delimiter)}, quote = '\"', escape = '\"', "
        f"columns = {{{columns}}}, strict_mode = true, null_padding = false, "
        f"max_line_size = {blob.longest_line}, store_rejects = true, "
        f"rejects_table = '{rejects_table}', rejects_scan = '{rejects_table}_scan')"
    )
    values = {name: Value(f"c{index}") for index, name in enumerate(header.columns)}
    return Chunk(
        relation,
        values,
        blob=blob,
        delimiter=header.delimiter,
        rejects_table=rejects_table,
    )


def without_empty_lines(lines: bytes) -> bytes:
    """Return whole lines without those that are empty."""
    return re.sub(rb"\n\n+", b"\n", lines.lstrip(b"\n"))


def _open_text(part: Part) -> io.TextIOWrapper:
    return io.TextIOWrapper(part.open(), encoding="utf-8-sig", newline="")


def _never_closed(line: int) -> str:
    return f"a quoted field that opens on line {line:,} is never closed"


class _TooLongError(Exception):
    """The record that is being read is longer than the limit."""


class _Recorder:
    """Hands lines to the csv module and remembers those of the record being read."""

    def __init__(self, lines: io.TextIOWrapper, limit: int) -> None:
        self._lines = lines
        self.limit = limit  # characters
        self._taken = io.StringIO(newline="")
        self._count = 0
        self.first_line = 1  # of the current record, counted from 1

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        # A line that is longer comes in pieces, of which the first is too much already.
        line = self._lines.readline(self.limit + len("\r\n") + 1)
        if not line:
            raise StopIteration
        self._taken.write(line)
        self._count += line.endswith(("\r", "\n"))
        if self._taken.tell() - _end_of(line) > self.limit:
            raise _TooLongError
        return line

    def take(self) -> str:
        """Return the text of the record just read and start the next one."""
        text = self._taken.getvalue().rstrip("\r\n")
        self._start()
        return text

    def skip(self) -> tuple[str, int]:
        """Go to the end of a record that is too long; return its start, and its length.

        It ends with a line up to which each quote has its other one.

        Raises:
            RefusedFileError: there is no such line.
        """
        text = self._taken.getvalue()
        length, is_quoted, line = len(text), text.count('"') % 2 == 1, text
        while is_quoted or not line.endswith(("\r", "\n")):
            line = self._lines.readline(self.limit)
            if not line:
                break
            length += len(line)
            self._count += line.endswith(("\r", "\n"))
            is_quoted ^= line.count('"') % 2 == 1
        if is_quoted:
            raise RefusedFileError(_never_closed(self.first_line))
        self._start()
        return text, length - _end_of(line)

    def _start(self) -> None:
        self._taken.seek(0)
        self._taken.truncate()
        self.first_line = self._count + 1


def _end_of(line: str) -> int:
    return len(line) - len(line.rstrip("\r\n"))
