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
from boathouse.ingest.dialect import spelled
from boathouse.ingest.header import Header, read_header, start_of, without_header
from boathouse.ingest.records import (
    BROKEN_QUOTES,
    Blob,
    BlobWriter,
    Chunk,
    Malformed,
    Value,
    keep_unknown,
    line_pieces,
    shortened,
    too_long,
    wrong_width,
)
from boathouse.ingest.text import Shape, examine
from boathouse.settings import Settings
from boathouse.sql import literal, path_literal

ROWS_A_GROUP = 50_000
# Whole lines of fields with or without quotes around them, NUL (which no text has) between them.
_RECORDS = re.compile(rb'(?:(?:"[^"\n]*+(?:""[^"\n]*+)*+"|[^"\n\0]*+)[\n\0])*+')


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
            BlobWriter(self._work, f"csv-{len(self._blobs)}", self._settings.batch_bytes),
        )
        rows = 0
        for number, piece in enumerate(line_pieces(part)):
            is_first = number == 0 and header.lines > 0
            lines = without_empty_lines(piece[piece.index(b"\n") + 1 :] if is_first else piece)
            count = lines.count(b"\n")
            writer.add(file_no, first_row + rows, lines, count)
            rows += count
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
        with pq.ParquetWriter(path, schema) as writer:

            def write_out() -> None:
                columns = zip(*rows, strict=True) if rows else [()] * len(schema)
                arrays = [pa.array(c, kind) for c, kind in zip(columns, schema.types, strict=True)]
                writer.write_table(pa.Table.from_arrays(arrays, schema=schema))
                rows.clear()

            for fields, text, problem in self._split(part, header):
                row += 1
                if problem:
                    malformed.append(Malformed(file_no, row, problem, shortened(text)))
                    continue
                rows.append((file_no, row, text, *fields[: len(names)]))
                if len(rows) == ROWS_A_GROUP:
                    write_out()
            write_out()
        self.malformed += malformed
        self._tokenised.append((header, path))
        return row - first_row + 1

    def _split(self, part: Part, header: Header) -> Iterator[tuple[list[str], str, str]]:
        """Yield each record's fields, original text, and what is wrong with it if anything."""
        with _open_text(part) as lines:
            recorder = _Recorder(lines)
            if header.lines:
                next(csv.reader(recorder, delimiter=header.delimiter))
                recorder.take()
            records = csv.reader(recorder, delimiter=header.delimiter, strict=True)
            while True:
                problem = ""
                fields: list[str] = []
                try:
                    fields = next(records)
                except StopIteration:
                    return
                except csv.Error as error:
                    if "unexpected end" in str(error):
                        raise RefusedFileError(
                            f"a quoted field that opens on line {recorder.first_line:,} "
                            "is never closed"
                        ) from None
                    problem = BROKEN_QUOTES
                text = recorder.take()
                if not text:
                    continue
                if len(text) > self._settings.max_record_bytes:
                    problem = too_long(len(text), self._settings)
                elif not problem:
                    problem = wrong_width(fields, len(header.columns))
                yield fields, text, problem

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
            texts = {name: value.text for name, value in chunk.values.items()}
            keep_unknown(chunk, self._contract, texts)
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


def has_quoted_fields_only(lines: bytes, delimiter: str) -> bool:
    """Return whether all quotes in whole lines are around fields, or doubled inside them."""
    return bool(_RECORDS.fullmatch(lines.replace(delimiter.encode(), b"\0")))


def without_empty_lines(lines: bytes) -> bytes:
    """Return whole lines without those that are empty."""
    return re.sub(rb"\n\n+", b"\n", lines.lstrip(b"\n"))


def _open_text(part: Part) -> io.TextIOWrapper:
    return io.TextIOWrapper(part.open(), encoding="utf-8-sig", newline="")


class _Recorder:
    """Hands lines to the csv module and remembers those of the record being read."""

    def __init__(self, lines: io.TextIOWrapper) -> None:
        self._lines = lines
        self._taken: list[str] = []
        self._count = 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = next(self._lines)
        self._taken.append(line)
        self._count += 1
        return line

    @property
    def first_line(self) -> int:
        """Return the number of the current record's first line, counted from 1."""
        return self._count - len(self._taken) + 1

    def take(self) -> str:
        """Return the text of the record just read and start the next one."""
        text = "".join(self._taken).rstrip("\r\n")
        self._taken.clear()
        return text
