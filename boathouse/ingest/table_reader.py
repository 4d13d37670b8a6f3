"""Parquet files and Excel workbooks as chunks of records; DuckDB reads both itself."""

from pathlib import Path

import duckdb

from boathouse import extensions
from boathouse.contracts import Contract
from boathouse.ingest.content import Part, RefusedFileError
from boathouse.ingest.header import header_problem
from boathouse.ingest.records import Chunk, Value, rescued
from boathouse.sql import identifier, path_literal, snake_case

_NESTED = ("STRUCT", "MAP", "UNION")


class TableReader:
    """Collects the Parquet or Excel files of a batch; `chunks` then says how to read them."""

    def __init__(self, con: duckdb.DuckDBPyConnection, contract: Contract, work: Path) -> None:
        self._con = con
        self._contract = contract
        self._work = work
        self._added = 0
        self._chunks: list[Chunk] = []

    def add(self, file_no: int, part: Part, first_row: int, *, is_workbook: bool) -> int:
        """Take in a part of a file and return how many records it has.

        Raises:
            RefusedFileError: it cannot be read, or its columns do not meet the contract.
        """
        # A name of our own: DuckDB would take `*` or `[` in the file's name for a pattern.
        path = self._work / f"table-{self._added}{'.xlsx' if is_workbook else '.parquet'}"
        table = f"table_records_{self._added}"
        self._added += 1
        if isinstance(part.content, bytes):
            path.write_bytes(part.content)
        else:
            path.symlink_to(part.content)
        try:
            if is_workbook:
                columns = self._read_workbook(path, table, file_no, first_row)
            else:
                columns = self._read_parquet(path, table, file_no, first_row)
        except duckdb.Error as error:
            kind = "Excel workbook" if is_workbook else "Parquet file"
            first_line = str(error).partition("\n")[0].replace(str(path), "it")
            raise RefusedFileError(f"it cannot be read as {kind}: {first_line}") from error
        finally:
            path.unlink()
        self._chunks.append(self._chunk(table, columns, is_workbook=is_workbook))
        return int(self._con.execute(f"select count(*) from {table}").fetchall()[0][0])

    def _read_parquet(
        self, path: Path, table: str, file_no: int, first_row: int
    ) -> list[tuple[str, str]]:
        scan = f"read_parquet({path_literal(path)}, file_row_number = true)"
        columns = self._columns(scan)
        self._con.execute(
            f"create or replace temp table {table} as "
            f"select {file_no}::int as _file_no, file_row_number + {first_row} as _row, "
            f"{_numbered(columns)} from {scan}"
        )
        return columns

    def _read_workbook(
        self, path: Path, table: str, file_no: int, first_row: int
    ) -> list[tuple[str, str]]:
        extensions.load(self._con, "excel")
        scan = (
            f"read_xlsx({path_literal(path)}, header = true, all_varchar = true, "
            "stop_at_empty = false)"
        )
        columns = self._columns(scan)
        is_blank = " and ".join(f"{identifier(name)} is null" for name, _ in columns)
        self._con.execute(
            f"create or replace temp table {table} as "
            f"select {file_no}::int as _file_no, row_number() over () + {first_row - 1} as _row, "
            f"{_numbered(columns)} from {scan} where not ({is_blank})"
        )
        return columns

    def _columns(self, scan: str) -> list[tuple[str, str]]:
        """Return the names and types of a file's columns.

        Raises:
            RefusedFileError: they do not meet the contract.
        """
        description = self._con.execute(f"describe from {scan}").fetchall()
        columns = [(name, kind) for name, kind, *_ in description if name != "file_row_number"]
        problem = header_problem(
            self._contract.names_of([name for name, _ in columns]), self._contract
        )
        if problem:
            raise RefusedFileError(problem)
        return columns

    def _chunk(self, table: str, columns: list[tuple[str, str]], *, is_workbook: bool) -> Chunk:
        types = {column.name: column.data_type for column in self._contract.columns}
        values = {}
        for number, (name, kind) in enumerate(columns):
            value = _value(f"c{number}", kind)
            if is_workbook and types.get(snake_case(name)) in ("date", "timestamp"):
                value = Value(_excel_time(value.text))
            values[snake_case(name)] = value
        fields = ", ".join(f"{identifier(name)} := c{n}" for n, (name, _) in enumerate(columns))
        chunk = Chunk(
            table,
            values,
            original=f"to_json(struct_pack({fields}))::varchar",
            scratch_tables=[table],
        )
        if self._contract.landing.new_columns == "rescue":
            known = {column.name for column in self._contract.file_columns}
            new = {
                snake_case(name): f"to_json(c{number})"
                for number, (name, _) in enumerate(columns)
                if snake_case(name) not in known
            }
            chunk.extra = rescued(new) if new else None
        return chunk

    def chunks(self) -> list[Chunk]:
        """Return how to read all that was added."""
        return self._chunks


def _numbered(columns: list[tuple[str, str]]) -> str:
    return ", ".join(f"{identifier(name)} as c{n}" for n, (name, _) in enumerate(columns))


def _value(column: str, kind: str) -> Value:
    if kind.startswith(_NESTED) or kind.endswith("]"):
        return Value(f"to_json({column})::varchar", f"{column} is not null")
    return Value(f"{column}::varchar")


def _excel_time(text: str) -> str:
    """Return SQL for a cell's time as text: Excel stores times as days since 1899-12-30.

    Ecma-376, part 1, 18.17.4.1 (the 1900 date system); to the millisecond, as Excel shows them.
    """
    days = f"try_cast({text} as double)"
    milliseconds = f"(round({days} * 86400000)::bigint - 2209161600000)"
    return (
        f"case when {days} between 1 and 2958466 then epoch_ms({milliseconds})::varchar "
        f"else {text} end"
    )
