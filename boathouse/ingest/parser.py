"""From chunks of texts to Parquet files of typed records, with the reasons against each.

Here DuckDB does the work. What it splits is counted against the lines the readers counted; files
for which the two do not agree are named, so that they can be read again in another way.
"""

import csv
import itertools
from dataclasses import dataclass, field
from pathlib import Path

import duckdb

from boathouse.contracts import RESCUE_COLUMN, Column, Contract
from boathouse.errors import ContractError
from boathouse.ingest.checks import typed_select
from boathouse.ingest.json_text import without_marks
from boathouse.ingest.records import (
    BROKEN_QUOTES,
    Blob,
    Chunk,
    Malformed,
    Span,
    copy_to,
    locate,
    without_lines,
    wrong_width,
)
from boathouse.lake import Lake
from boathouse.sql import identifier, path_literal

MANY_COLUMNS, VERY_MANY_COLUMNS = 50, 200
FEW_SPANS = 20  # for which it is faster to compute where a record stood than to look it up


class Parser:
    """Parses chunks into Parquet files; `records` is the query over all of them."""

    def __init__(self, opened: Lake, contract: Contract, work: Path) -> None:
        self._lake = opened
        self._con = opened.con
        self._contract = contract
        self._work = work
        self._numbers = (
            itertools.count()
        )  # DuckDB may know a file by its name: no two have the same
        self._records: list[_Records] = []
        self.malformed: list[Malformed] = []

    def parse(self, chunks: list[Chunk], columns: list[Column]) -> set[int]:
        """Parse chunks and return the numbers of files whose records DuckDB did not split well.

        Raises:
            ContractError: a rule of the contract cannot be run.
        """
        misread: set[int] = set()
        if len(columns) > MANY_COLUMNS:
            # Looking for them takes the square of the columns: minutes where there are hundreds.
            self._con.execute("set disabled_optimizers = 'common_subexpressions'")
        if any(len(chunk.values) > VERY_MANY_COLUMNS for chunk in chunks):
            # Each thread keeps some memory for each step with each column.
            self._con.execute("set threads = 1")
        for chunk in chunks:
            try:
                self._records.append(_Records(self._parse_chunk(chunk, columns)))
            except _MisreadError:
                misread |= {span.file_no for span in chunk.blob.spans} if chunk.blob else set()
        return misread

    def forget(self, file_nos: set[int]) -> None:
        """Leave out what was parsed of some files so far, in whichever chunks it stood."""
        for records in self._records:
            records.without |= file_nos
        self.malformed = [m for m in self.malformed if m.file_no not in file_nos]

    def records(self, columns: list[Column]) -> str:
        """Return a query for all that was parsed and not forgotten.

        It reads Parquet files in the work folder alone, so that any engine can run it.
        """
        if not self._records:
            nothing = Chunk("(select 0::int as _file_no, 0::bigint as _row where false)", {})
            self.parse([nothing], columns)
        return " union all by name ".join(records.select() for records in self._records)

    def _parse_chunk(self, chunk: Chunk, columns: list[Column]) -> str:
        """Parse a chunk and return the query for its records."""
        path = self._work / f"records-{next(self._numbers)}.parquet"
        has_rescue = self._contract.landing.new_columns == "rescue"
        types = {column.name: column.data_type for column in columns}
        types |= {RESCUE_COLUMN: "json"} if has_rescue else {}
        types |= {"_reasons": "varchar[]"}
        if chunk.blob is None:
            types = {"_file_no": "integer", "_row": "bigint", **types}
        # Names of our own, since DuckDB gives some names in a file a meaning of its own.
        named = ", ".join(f"{identifier(name)} as c{n}" for n, name in enumerate(types))
        query = typed_select(columns, chunk, has_rescue=has_rescue)
        statement = copy_to(path, f"select {named} from ({query})", len(types) + len(chunk.values))
        values = {
            name: f"parsed.c{n}::{data_type}" for n, (name, data_type) in enumerate(types.items())
        }
        if chunk.blob is None:
            run_rules(self._con, self._contract, statement)
            origin = self._read(chunk, path, values)
        else:
            count, bad_lines = self._split(chunk, statement)
            self._require_all(chunk, chunk.blob, count, bad_lines)
            origin = self._placed(chunk.blob, path, sorted(bad_lines), values)
        for scratch in chunk.scratch_tables:
            self._con.execute(f"drop table if exists {scratch}")
        values.setdefault("_text", "null::varchar")
        selected = ", ".join(f"{value} as {identifier(name)}" for name, value in values.items())
        return f"select {selected} from {origin}"

    def _require_all(
        self, chunk: Chunk, blob: Blob, count: int, bad_lines: dict[int, tuple[str, str]]
    ) -> None:
        if count + len(bad_lines) != blob.lines:
            if chunk.rejects_table is None:
                raise AssertionError(f"{blob.lines} lines were counted but {count} were read")
            raise _MisreadError
        for line, (reason, text) in bad_lines.items():
            self.malformed.append(Malformed(*locate(blob.spans, line), reason, text))

    def _read(self, chunk: Chunk, path: Path, values: dict[str, str]) -> str:
        """Return the origin of a chunk's records, and add to `values` the text of rejected ones."""
        origin = f"read_parquet({path_literal(path)}) as parsed"
        if not chunk.original:
            return origin
        place = ["_file_no", "_row"]
        bad = ", ".join(f"{values[name]} as {name}" for name in place)
        bad = f"select {bad} from {origin} where {values['_reasons']} is not null"
        originals = (
            f"select _file_no, _row, {chunk.original} as text "
            f"from {chunk.relation} semi join ({bad}) using (_file_no, _row)"
        )
        on = " and ".join(f"{values[name]} = originals.{name}" for name in place)
        return self._with_originals(origin, bad, originals, on, path, values)

    def _placed(self, blob: Blob, path: Path, bad_lines: list[int], values: dict[str, str]) -> str:
        """Return the origin of a blob's records, and add to `values` where each one stood."""
        spans = without_lines(blob.spans, bad_lines)
        origin = f"{_numbered(path)} as parsed"
        if not 0 < len(spans) <= FEW_SPANS:
            # The records and their places are both in the order of the blob's lines.
            places = path.with_suffix(".places.parquet")
            self._place(spans, places)
            origin += f" inner join {_numbered(places)} as places using (file_row_number)"
            file_no, row, line = "places._file_no", "places._row", "places.line"
        else:
            file_no, row, line = _places(spans)
        bad = f"select parsed.file_row_number as number, {line} as line from {origin} "
        bad += f"where {values['_reasons']} is not null"
        on = "parsed.file_row_number = originals.number"
        origin = self._with_originals(origin, bad, _lines(blob, bad), on, path, values)
        values |= {"_file_no": file_no, "_row": row}
        return origin

    def _split(self, chunk: Chunk, statement: str) -> tuple[int, dict[int, tuple[str, str]]]:
        """Run a statement over a blob; return how many records it has written.

        Also the lines DuckDB could not split, why, and their text.
        """
        if chunk.rejects_table is None:
            return int(run_rules(self._con, self._contract, statement).fetchall()[0][0]), {}
        try:
            count = int(self._con.execute(statement).fetchall()[0][0])
            rows = self._lake.rows(
                f"select line, any_value(csv_line) from {chunk.rejects_table} group by line"
            )
        except (duckdb.ProgrammingError, duckdb.DataError) as error:
            raise _MisreadError from error
        finally:
            for table in (chunk.rejects_table, f"{chunk.rejects_table}_scan"):
                self._con.execute(f"drop table if exists {table}")
        bad_lines = {}
        for line, text in rows:
            # What DuckDB says of a line depends on more than the line.
            reason = _what_is_wrong(text, chunk)
            if "\n" in text or not reason:
                raise _MisreadError
            bad_lines[line - 1] = (reason, text)
        return count, bad_lines

    def _place(self, spans: list[Span], path: Path) -> None:
        """Write the file, row and line of every record, in the order of the lines."""
        self._lake.put(
            "spans",
            {"_file_no": "integer", "first_row": "bigint", "lines": "bigint", "line": "bigint"},
            [(span.file_no, span.first_row, span.count, span.first_line) for span in spans],
        )
        self._con.execute(
            copy_to(
                path,
                "select _file_no, first_row + step as _row, line + step as line "
                "from (select *, unnest(range(lines)) as step from spans)",
            )
        )

    def _with_originals(
        self, origin: str, bad: str, originals: str, on: str, path: Path, values: dict[str, str]
    ) -> str:
        """Return an origin with the texts of its rejected records, which `values` then has.

        `bad` is a query for those records, `originals` one for their texts, and `on` says which
        text is whose. Nothing is done where there are none.
        """
        if not self._lake.value(f"select count(*) from ({bad})"):
            return origin
        texts = path.with_suffix(".originals.parquet")
        self._con.execute(copy_to(texts, originals))
        values["_text"] = "originals.text"
        return f"{origin} left join read_parquet({path_literal(texts)}) as originals on {on}"


def _lines(blob: Blob, wanted: str) -> str:
    """Return a query for lines of a blob, whose numbers and lines the query `wanted` gives."""
    return f"""
        select wanted.number, {without_marks("lines.text")} as text
        from (
            select text, row_number() over () - 1 as line
            from read_csv({path_literal(blob.path)}, auto_detect = false,
                header = false, delim = chr(0), quote = '', escape = '',
                columns = {{text: 'VARCHAR'}},
                max_line_size = {blob.longest_line})
        ) as lines
        inner join ({wanted}) as wanted on lines.line = wanted.line
    """


def _places(spans: list[Span]) -> tuple[str, str, str]:
    """Return SQL for the file, the row and the line of a record by its number."""
    file_nos, rows, lines, end = [], [], [], 0
    for span in spans:
        start, end = end, end + span.count
        branch = f"when parsed.file_row_number < {end} then"
        file_nos.append(f"{branch} {span.file_no}")
        rows.append(f"{branch} parsed.file_row_number + {span.first_row - start}")
        lines.append(f"{branch} parsed.file_row_number + {span.first_line - start}")
    file_no, row, line = (f"(case {' '.join(each)} end)" for each in (file_nos, rows, lines))
    return f"{file_no}::integer", f"{row}::bigint", line


def _numbered(path: Path) -> str:
    return f"read_parquet({path_literal(path)}, file_row_number = true)"


def run_rules(
    con: duckdb.DuckDBPyConnection, contract: Contract, statement: str
) -> duckdb.DuckDBPyConnection:
    """Run a statement in which, the texts being split already, only the rules can be wrong.

    Raises:
        ContractError: one of them is.
    """
    try:
        return con.execute(statement)
    except (duckdb.ProgrammingError, duckdb.DataError, duckdb.NotSupportedError) as error:
        raise ContractError(
            f"{contract.path}: table {contract.source}: the data tests of its columns cannot be "
            f"run as rules for rows: {str(error).strip()}",
            hint="A rule is SQL over the columns that are read from the file itself.",
        ) from error


def _what_is_wrong(line: str, chunk: Chunk) -> str:
    """Return why a line cannot be split into a record, or nothing if it can."""
    try:
        fields = next(csv.reader([line], delimiter=chunk.delimiter, strict=True))
    except csv.Error:
        return BROKEN_QUOTES
    return wrong_width(fields, len(chunk.values))


@dataclass
class _Records:
    """A query for typed records, and the files in it that are left out."""

    query: str
    without: set[int] = field(default_factory=set)

    def select(self) -> str:
        if not self.without:
            return self.query
        without = ", ".join(map(str, self.without))
        return f"select * from ({self.query}) where _file_no not in ({without})"


class _MisreadError(Exception):
    """DuckDB and the line count do not agree on a blob."""
