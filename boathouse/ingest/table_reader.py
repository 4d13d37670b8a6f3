"""Parquet files and Excel workbooks as chunks of records, each read by its own reader."""

from pathlib import Path

import duckdb

from boathouse.contracts import Contract
from boathouse.ingest.content import Part
from boathouse.ingest.parquet_reader import ParquetReader
from boathouse.ingest.records import Chunk
from boathouse.ingest.workbook_reader import WorkbookReader
from boathouse.settings import Settings


class TableReader:
    """Collects the Parquet or Excel files of a batch; `chunks` then says how to read them."""

    def __init__(
        self, con: duckdb.DuckDBPyConnection, contract: Contract, settings: Settings, work: Path
    ) -> None:
        self._parquet = ParquetReader(con, contract, settings, work)
        self._workbooks = WorkbookReader(contract, settings, work)

    def add(self, file_no: int, part: Part, first_row: int, *, is_workbook: bool) -> int:
        """Take in a part of a file and return how many records it has.

        Raises:
            RefusedFileError: it cannot be read, or its columns do not meet the contract.
        """
        reader = self._workbooks if is_workbook else self._parquet
        return reader.add(file_no, part, first_row)

    def chunks(self) -> list[Chunk]:
        """Return how to read all that was added."""
        return self._parquet.chunks() + self._workbooks.chunks()
