"""Parquet files as chunks of records; DuckDB reads them itself."""

from pathlib import Path

import duckdb

from boathouse.contracts import Contract
from boathouse.ingest.content import Part, RefusedFileError
from boathouse.ingest.header import header_problem
from boathouse.ingest.records import Chunk, Value, as_object, keep_unknown
from boathouse.settings import Settings
from boathouse.sql import identifier, path_literal, snake_case

_NESTED = ("STRUCT", "MAP", "UNION")


class ParquetReader:
    """Collects the Parquet files of a batch; `chunks` then says how to read them."""

    def __init__(
        self, con: duckdb.DuckDBPyConnection, contract: Contract, settings: Settings, work: Path
    ) -> None:
        self._con = con
        self._contract = contract
        self._settings = settings
        self._work = work
        self._added = 0
        self._chunks: list[Chunk] = []

    def add(self, file_no: int, part: Part, first_row: int) -> int:
        """Take in a Parquet file and return how many records it has.

        Raises:
            RefusedFileError: it cannot be read, or its columns do not meet the contract.
        """
        # A name of our own: DuckDB would take `*` or `[` in the file's name for a pattern.
        path = self._work / f"table-{self._added}.parquet"
        table = f"table_records_{self._added}"
        self._added += 1
        if isinstance(part.content, bytes):
            path.write_bytes(part.content)
        else:
            path.symlink_to(part.content)
        try:
            columns = self._read(path, table, file_no, first_row)
        except duckdb.Error as error:
            first_line = str(error).partition("\n")[0].replace(str(path), "it")
            raise RefusedFileError(f"it cannot be read as Parquet file: {first_line}") from error
        finally:
            path.unlink()
        self._chunks.append(self._chunk(table, columns))
        return int(self._con.execute(f"select count(*) from {table}").fetchall()[0][0])

    def _read(self, path: Path, table: str, file_no: int, first_row: int) -> list[tuple[str, str]]:
        scan = f"read_parquet({path_literal(path)}, file_row_number = true)"
        columns = self._columns(scan)
        numbered = ", ".join(f"{identifier(name)} as c{n}" for n, (name, _) in enumerate(columns))
        self._con.execute(
            f"create or replace temp table {table} as "
            f"select {file_no}::int as _file_no, file_row_number + {first_row} as _row, "
            f"{numbered} from {scan}"
        )
        return columns

    def _columns(self, scan: str) -> list[tuple[str, str]]:
        """Return the names and types of a file's columns.

        Raises:
            RefusedFileError: they do not meet the contract.
        """
        description = self._con.execute(f"describe from {scan}").fetchall()
        columns = [(name, kind) for name, kind, *_ in description if name != "file_row_number"]
        problem = header_problem([snake_case(name) for name, _ in columns], self._contract)
        if problem:
            raise RefusedFileError(problem)
        return columns

    def _chunk(self, table: str, columns: list[tuple[str, str]]) -> Chunk:
        names = {name: f"c{number}" for number, (name, _) in enumerate(columns)}
        chunk = Chunk(
            table,
            {snake_case(name): _value(names[name], kind) for name, kind in columns},
            original=as_object(names),
            scratch_tables=[table],
        )
        values = {snake_case(name): f"to_json({column})" for name, column in names.items()}
        keep_unknown(chunk, self._contract, values)
        return chunk

    def chunks(self) -> list[Chunk]:
        """Return how to read all that was added."""
        return self._chunks


def _value(column: str, kind: str) -> Value:
    if kind.startswith(_NESTED) or kind.endswith("]"):
        return Value(f"to_json({column})::varchar", f"{column} is not null")
    return Value(f"{column}::varchar")
