"""Excel workbooks as chunks of records: which sheet, its header, and each row as a record."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import chain
from pathlib import Path
from typing import Any

from boathouse.contracts import Contract
from boathouse.ingest.content import Part, RefusedFileError
from boathouse.ingest.dialect import has_numbers, spelled
from boathouse.ingest.header import header_problem, names_by_place
from boathouse.ingest.records import (
    Chunk,
    Member,
    Value,
    as_object,
    keep_unknown,
    too_long,
    wrong_width,
)
from boathouse.ingest.workbook.cells import Merged, Row, SheetReader, column_name
from boathouse.ingest.workbook.package import Sheet, Workbook, open_workbook
from boathouse.settings import MIB, Settings
from boathouse.sql import path_literal

_ROWS_A_GROUP = 50_000
_SIZE_OF_A_GROUP = 16 * MIB  # characters and cells; of rows that are long
_MOST_NAMED = 10  # sheets, in a message


@dataclass(frozen=True)
class FoundSheet:
    """A sheet to choose from."""

    name: str
    is_visible: bool
    has_cells: bool


def choose_sheet(sheets: Sequence[FoundSheet], wanted: str | int = "") -> str:
    """Return the name of the sheet to read: the only visible one with anything in it.

    Args:
        sheets: All sheets of a workbook, in their order.
        wanted: A sheet's name, a pattern that one name fits, or its number, counted from 1; such
            a sheet may be hidden.

    Raises:
        RefusedFileError: there is none, or there are several.
    """
    if wanted != "":
        return _wanted_sheet([sheet.name for sheet in sheets], wanted)
    found = [sheet.name for sheet in sheets if sheet.is_visible and sheet.has_cells]
    if not found:
        raise RefusedFileError("the workbook has no visible sheet with anything in it")
    if len(found) > 1:
        more = f" and {len(found) - _MOST_NAMED} more" if len(found) > _MOST_NAMED else ""
        named = ", ".join(repr(name) for name in found[:_MOST_NAMED])
        raise RefusedFileError(
            f"the workbook has {len(found)} visible sheets with something in them: {named}{more}; "
            "say which one in the contract (sheet: …), or hide those that are not meant"
        )
    return found[0]


def _wanted_sheet(names: Sequence[str], wanted: str | int) -> str:
    if isinstance(wanted, int):
        found = list(names[wanted - 1 : wanted]) if wanted > 0 else []
    else:
        found = [name for name in names if name == wanted]
        found = found or [name for name in names if fnmatchcase(name, wanted)]
    if len(found) != 1:
        listed = ", ".join(map(repr, names[:_MOST_NAMED]))
        number = "no sheet" if not found else f"{len(found)} sheets"
        raise RefusedFileError(f"the workbook has {number} for sheet: {wanted}; it has {listed}")
    return found[0]


class WorkbookReader:
    """Collects the workbooks of a batch; `chunks` then says how to read them."""

    def __init__(self, contract: Contract, settings: Settings, work: Path) -> None:
        self._contract = contract
        self._settings = settings
        self._work = work
        self._chunks: list[Chunk] = []

    def add(self, file_no: int, part: Part, first_row: int) -> int:
        """Take in a workbook and return how many records it has.

        Raises:
            RefusedFileError: it cannot be read, its sheet cannot be told, or its header does not
                meet the contract.
        """
        with open_workbook(part, self._settings.max_workbook_bytes) as book:
            sheet = self._sheet(book)
            reader = SheetReader(book, sheet, self._settings.max_record_bytes)
            header, rows = _header(reader.rows(), self._contract)
            path = self._work / f"workbook-{len(self._chunks)}.parquet"
            records = _Records(
                path,
                header,
                file_no,
                first_row,
                self._settings,
                has_numbers(self._contract.landing),
            )
            with records:
                for row in rows:
                    records.add(row)
            _check_merged(reader.merged, header, records.last_row)
        self._chunks.append(self._chunk(path, header))
        return records.count

    def _sheet(self, book: Workbook) -> Sheet:
        wanted = self._contract.landing.sheet
        found = [
            FoundSheet(
                sheet.name,
                sheet.is_visible,
                wanted == "" and sheet.is_visible and self._has_cells(book, sheet),
            )
            for sheet in book.sheets
        ]
        name = choose_sheet(found, wanted)
        return next(sheet for sheet in book.sheets if sheet.name == name)

    def _has_cells(self, book: Workbook, sheet: Sheet) -> bool:
        rows = SheetReader(book, sheet, self._settings.max_record_bytes).rows()
        return next(rows, None) is not None

    def _chunk(self, path: Path, header: "_Header") -> Chunk:
        columns = [f"c{number}" for number in range(len(header.names))]
        members = list(map(Member, columns))
        record = as_object(zip(header.texts, members, strict=True))
        chunk = Chunk(
            f"read_parquet({path_literal(path)})",
            {
                name: Value(self._text(name, number), problem=f"problems[{number + 1}]")
                for number, name in enumerate(header.names)
            },
            original=f"coalesce(original, {record})",
            not_a_record="not_a_record",
        )
        keep_unknown(chunk, self._contract, dict(zip(header.names, members, strict=True)))
        return chunk

    def _text(self, name: str, number: int) -> str:
        """Return SQL for a column's text; what is a number in the workbook is in no dialect."""
        landing = self._contract.landing
        column = self._contract.column(name)
        text = spelled(f"c{number}", column, landing)
        if not has_numbers(landing) or column.data_type in ("varchar", "date", "timestamp"):
            return text
        return f"case when numbers[{number + 1}] then c{number} else {text} end"

    def chunks(self) -> list[Chunk]:
        """Return how to read all that was added."""
        return self._chunks


@dataclass(frozen=True)
class _Header:
    """The header's texts and the columns they are; the first stands in column `first`, from 0."""

    texts: list[str]
    names: list[str]
    first: int
    row: int


def _header(rows: Iterator[Row], contract: Contract) -> tuple[_Header, Iterator[Row]]:
    """Return the header and the rows below it.

    It begins with its first cell that is not empty; where the contract counts columns, with the
    sheet's first column, and it is as long as the contract counts.

    Raises:
        RefusedFileError: it does not meet the contract, or there is no row for it.
    """
    landing = contract.landing
    begin = landing.skip_rows + landing.header_row
    row = next((row for row in rows if row.number >= begin), None)
    if row is None:
        raise RefusedFileError(f"there is nothing in the sheet from row {begin:,} on")
    if landing.no_header:
        names = names_by_place(contract)
        return _Header(names, names, 0, row.number - 1), chain([row], rows)
    problems = [cell.problem for cell in row.cells.values() if cell.problem]
    if problems:
        raise RefusedFileError(f"a name in the header is {problems[0]}")
    counted = max((column.position for column in contract.file_columns), default=0)
    first, last = (0 if counted else min(row.cells)), max(*row.cells, counted - 1)
    texts = [row.cells[n].text if n in row.cells else "" for n in range(first, last + 1)]
    names = contract.names_of(texts)
    problem = header_problem(names, contract)
    if problem:
        raise RefusedFileError(problem)
    return _Header(texts, names, first, row.number), rows


class _Records:
    """Writes records to a Parquet file, group by group, for a `with` block."""

    def __init__(
        self,
        path: Path,
        header: _Header,
        file_no: int,
        first_row: int,
        settings: Settings,
        tells_numbers: bool,
    ) -> None:
        # Only here, since it takes long to import.
        import pyarrow as pa
        import pyarrow.parquet as pq

        self._header = header
        self._file_no = file_no
        self._next_row = first_row
        self._settings = settings
        self._tells_numbers = tells_numbers
        self.count = 0
        self.last_row = header.row  # of the sheet, with anything in it
        self._rows: list[tuple[object, ...]] = []
        self._size = 0
        self._schema = pa.schema(
            [
                ("_file_no", pa.int32()),
                ("_row", pa.int64()),
                ("not_a_record", pa.string()),
                ("original", pa.large_string()),
                ("problems", pa.list_(pa.string())),
                ("numbers", pa.list_(pa.bool_())),
                *((f"c{number}", pa.string()) for number in range(len(header.names))),
            ]
        )
        self._writer: Any = pq.ParquetWriter(path, self._schema)

    def __enter__(self) -> "_Records":
        return self

    def __exit__(self, *_: object) -> None:
        self._write_out()
        self._writer.close()

    def add(self, row: Row) -> None:
        """Write a row of the sheet as the next record."""
        width, first = len(self._header.names), self._header.first
        texts: list[str | None] = [None] * width
        problems: list[str | None] | None = None
        numbers = [False] * width if self._tells_numbers else None
        last = -1
        for column, cell in row.cells.items():
            place = column - first
            last = max(last, place)
            if not 0 <= place < width:
                continue
            texts[place] = cell.text
            if numbers:
                numbers[place] = cell.is_number
            if cell.problem:
                problems = problems or [None] * width
                problems[place] = f"{self._header.names[place]} is {cell.problem}"
        wrong = self._wrong(row, last + 1)
        text = _original(row) if wrong else None
        row_number = self._next_row + self.count
        self._rows.append((self._file_no, row_number, wrong, text, problems, numbers, *texts))
        self.count += 1
        self.last_row = row.number
        self._size += row.size + width
        if len(self._rows) == _ROWS_A_GROUP or self._size > _SIZE_OF_A_GROUP:
            self._write_out()

    def _wrong(self, row: Row, found: int) -> str | None:
        """Return why a row is no record of this header, or None."""
        width = len(self._header.names)
        if row.size > self._settings.max_record_bytes:
            return too_long(row.size, self._settings)
        if row.twice:
            return f"the row gives the cell {row.twice} twice"
        if min(row.cells) < self._header.first:
            name = f"{column_name(min(row.cells))}{row.number}"
            return f"the record has a cell left of the header's first one ({name})"
        return wrong_width(["x"] * found, width) or None if found > width else None

    def _write_out(self) -> None:
        import pyarrow as pa

        columns = zip(*self._rows, strict=True) if self._rows else [()] * len(self._schema)
        kinds = self._schema.types
        arrays = [pa.array(values, kind) for values, kind in zip(columns, kinds, strict=True)]
        self._writer.write_table(pa.Table.from_arrays(arrays, schema=self._schema))
        self._rows.clear()
        self._size = 0


def _original(row: Row) -> str:
    """Return a row as it is shown when it is no record: its cells by their places."""
    cells = sorted(row.cells.items())
    return json.dumps(
        {f"{column_name(n)}{row.number}": cell.text for n, cell in cells}, ensure_ascii=False
    )


def _check_merged(merged: list[Merged], header: _Header, last_row: int) -> None:
    """Refuse merged cells among the records: which of them has the value cannot be told."""
    columns = range(header.first, header.first + len(header.names))
    for cells in merged:
        is_among = (
            cells.rows.start <= last_row
            and header.row < cells.rows.stop
            and cells.columns.start < columns.stop
            and columns.start < cells.columns.stop
        )
        if is_among:
            raise RefusedFileError(
                f"the cells {cells.name} are merged, so that all but the first are empty; "
                "give each cell its own value and deliver it again"
            )
