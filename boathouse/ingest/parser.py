"""From chunks of texts to temporary tables of typed records, with the reasons against each.

Here DuckDB does the work. What it splits is counted against the lines the readers counted; files
for which the two do not agree are named, so that they can be read again in another way.
"""

import csv
from dataclasses import dataclass, field

import duckdb

from boathouse.contracts import Column, Contract
from boathouse.errors import ContractError
from boathouse.ingest.checks import typed_select
from boathouse.ingest.json_text import without_marks
from boathouse.ingest.records import (
    BROKEN_QUOTES,
    Blob,
    Chunk,
    Malformed,
    Span,
    locate,
    without_lines,
    wrong_width,
)
from boathouse.lake import Lake
from boathouse.sql import path_literal


class Parser:
    """Parses chunks into tables; `publish` makes them one view, `records`."""

    def __init__(self, opened: Lake, contract: Contract) -> None:
        self._lake = opened
        self._con = opened.con
        self._contract = contract
        self._records: list[_Records] = []
        self.malformed: list[Malformed] = []

    def parse(self, chunks: list[Chunk], columns: list[Column]) -> set[int]:
        """Parse chunks and return the numbers of files whose records DuckDB did not split well.

        Raises:
            ContractError: a rule of the contract cannot be run.
        """
        misread: set[int] = set()
        for chunk in chunks:
            table = f"records_{len(self._records)}"
            try:
                self._records.append(_Records(self._parse_chunk(chunk, table, columns)))
            except _MisreadError:
                misread |= {span.file_no for span in chunk.blob.spans} if chunk.blob else set()
        return misread

    def forget(self, file_nos: set[int]) -> None:
        """Leave out what was parsed of some files so far, in whichever chunks it stood."""
        for records in self._records:
            records.without |= file_nos
        self.malformed = [m for m in self.malformed if m.file_no not in file_nos]

    def publish(self, columns: list[Column]) -> None:
        """Make the view `records` of all that was parsed and not forgotten."""
        if not self._records:
            nothing = Chunk("(select 0::int as _file_no, 0::bigint as _row where false)", {})
            self.parse([nothing], columns)
        union = " union all by name ".join(records.select() for records in self._records)
        self._con.execute(f"create or replace temp view records as {union}")

    def _parse_chunk(self, chunk: Chunk, table: str, columns: list[Column]) -> str:
        """Parse a chunk into tables and return the relation of its records."""
        has_rescue = self._contract.landing.new_columns == "rescue"
        query = typed_select(columns, chunk, has_rescue=has_rescue)
        if chunk.blob is None:
            relation = table
            run_rules(self._con, self._contract, f"create or replace temp table {table} as {query}")
        else:
            relation = self._parse_blob(chunk, chunk.blob, table, query)
        for scratch in chunk.scratch_tables:
            self._con.execute(f"drop table if exists {scratch}")
        return relation

    def _parse_blob(self, chunk: Chunk, blob: Blob, table: str, query: str) -> str:
        parsed = f"{table}_parsed"
        bad_lines = self._split(chunk, f"create or replace temp table {parsed} as {query}")
        found = self._lake.value(f"select count(*) from {parsed}")
        if found + len(bad_lines) != blob.lines:
            if chunk.rejects_table is None:
                raise AssertionError(f"{blob.lines} lines were counted but {found} were read")
            raise _MisreadError
        for line, (reason, text) in bad_lines.items():
            self.malformed.append(Malformed(*locate(blob.spans, line), reason, text))
        places = self._place(without_lines(blob.spans, sorted(bad_lines)), f"{table}_places")
        # Both tables are in the order of the blob's lines. By row number, DuckDB joins them with
        # all threads; a positional join has one.
        among = f"from {parsed} as parsed inner join {places} as places using (rowid)"
        if chunk.original is None:
            self._look_up_originals(blob, parsed, among)
        return f"(select places._file_no, places._row, parsed.* {among})"

    def _split(self, chunk: Chunk, statement: str) -> dict[int, tuple[str, str]]:
        """Run a statement over a blob; return the lines DuckDB could not split, why, and text."""
        if chunk.rejects_table is None:
            run_rules(self._con, self._contract, statement)
            return {}
        try:
            self._con.execute(statement)
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
        return bad_lines

    def _place(self, spans: list[Span], table: str) -> str:
        """Make a table of the file, row and line of every record, in the order of the lines."""
        self._lake.put(
            "spans",
            {"_file_no": "integer", "first_row": "bigint", "lines": "bigint", "line": "bigint"},
            [(span.file_no, span.first_row, span.count, span.first_line) for span in spans],
        )
        self._con.execute(
            f"create or replace temp table {table} as "
            "select _file_no, first_row + step as _row, line + step as line "
            "from (select *, unnest(range(lines)) as step from spans)"
        )
        return table

    def _look_up_originals(self, blob: Blob, parsed: str, among: str) -> None:
        """Give rejected records of a blob their original line."""
        if not self._lake.value(f"select count(*) from {parsed} where _reasons is not null"):
            return
        self._con.execute(
            f"""
            update {parsed} set _text = originals.text
            from (
                select bad.id, {without_marks("lines.text")} as text
                from (
                    select text, row_number() over () - 1 as line
                    from read_csv({path_literal(blob.path)}, auto_detect = false,
                        header = false, delim = chr(0), quote = '', escape = '',
                        columns = {{text: 'VARCHAR'}},
                        max_line_size = {blob.longest_line})
                ) as lines
                inner join (
                    select parsed.rowid as id, places.line
                    {among}
                    where parsed._reasons is not null
                ) as bad on lines.line = bad.line
            ) as originals
            where {parsed}.rowid = originals.id
            """
        )


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
    """A relation of typed records, and the files in it that are left out."""

    relation: str
    without: set[int] = field(default_factory=set)

    def select(self) -> str:
        among = f" where _file_no not in ({', '.join(map(str, self.without))})"
        return f"select * from {self.relation}{among if self.without else ''}"


class _MisreadError(Exception):
    """DuckDB and the line count do not agree on a blob."""
