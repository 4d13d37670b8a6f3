"""The pages of a Parquet file: whether they are what their checksums say, and how much they hold.

DuckDB does not look at checksums. What a page's header is, `parquet.thrift` of the format's
specification says; headers are in Thrift's compact protocol.
"""

import mmap
import zlib
from dataclasses import dataclass
from pathlib import Path

import duckdb

from boathouse.ingest.content import RefusedFileError
from boathouse.settings import MIB
from boathouse.sql import path_literal

_MOST_TIMES = 1000  # that a table may be larger than its file, when it is large
_LARGE = 256 * MIB
_DEEPEST = 8
_UNCOMPRESSED, _COMPRESSED, _CRC = 2, 3, 4  # fields of a page's header


@dataclass(frozen=True)
class _Chunk:
    """One column's pages in one row group, by their place in the file."""

    column: str
    row_group: int
    start: int
    end: int


def check_pages(con: duckdb.DuckDBPyConnection, path: Path, most_bytes: int) -> None:
    """Check a Parquet file's pages before they are read.

    Raises:
        RefusedFileError: a page is damaged, or they would unpack to far too much.
        duckdb.Error: the file's metadata cannot be read.
    """
    rows = con.execute(
        "select path_in_schema, row_group_id, "
        "if(dictionary_page_offset between 1 and data_page_offset, dictionary_page_offset, "
        "data_page_offset), total_compressed_size, total_uncompressed_size, num_values "
        f"from parquet_metadata({path_literal(path)})"
    ).fetchall()
    with path.open("rb") as file:
        size = file.seek(0, 2)
        unpacked = sum(max(0, row[4] or 0, row[5] or 0) for row in rows)
        if unpacked > most_bytes or (unpacked > _LARGE and unpacked > _MOST_TIMES * size):
            raise RefusedFileError(
                f"it would unpack to {unpacked:,} bytes or values, which is too much for a file "
                f"of {size:,} bytes"
            )
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            for column, row_group, start, length, *_ in rows:
                if start is not None and length is not None and 0 <= start < start + length <= size:
                    _check_chunk(data, _Chunk(column, row_group, start, start + length))


def _check_chunk(data: mmap.mmap, chunk: _Chunk) -> None:
    """Compare the checksums of a chunk's pages; none in the first page are none in any."""
    place = chunk.start
    while place < chunk.end:
        try:
            header, place = _page_header(data, place, chunk.end)
        except (IndexError, ValueError):
            return  # DuckDB says it better
        end = place + header.get(_COMPRESSED, -1)
        if not place <= end <= chunk.end or _CRC not in header:
            return
        with memoryview(data) as view, view[place:end] as page:
            checksum = zlib.crc32(page)
        if checksum != header[_CRC] & 0xFFFFFFFF:
            raise RefusedFileError(
                f"the Parquet file is damaged: the checksum of a page of {chunk.column} "
                f"(row group {chunk.row_group}) is wrong; deliver it again"
            )
        place = end


def _page_header(data: mmap.mmap, place: int, end: int) -> tuple[dict[int, int], int]:
    """Return the numbers in a page's header by their fields, and where the header ends."""
    reader = _Compact(data, place, end)
    found: dict[int, int] = {}
    reader.struct(found)
    return found, reader.place


class _Compact:
    """Walks over values in Thrift's compact protocol; IndexError or ValueError when it cannot."""

    def __init__(self, data: mmap.mmap, place: int, end: int) -> None:
        self._data = data
        self.place = place
        self._end = end

    def struct(self, found: dict[int, int] | None = None, depth: int = 0) -> None:
        """Walk over a struct and note its whole numbers in `found`."""
        field = 0
        while (head := self._byte()) != 0:
            kind = head & 15
            field = field + (head >> 4) if head >> 4 else self._integer()
            if kind in (4, 5, 6):
                number = self._integer()
                if found is not None:
                    found[field] = number
            elif kind > 2:  # truth is in the kind itself
                self._skip(kind, depth + 1)

    def _skip(self, kind: int, depth: int) -> None:
        if depth > _DEEPEST:
            raise ValueError
        match kind:
            case 1 | 2 | 3:
                self._move(1)
            case 4 | 5 | 6:
                self._varint()
            case 7:
                self._move(8)
            case 8:
                self._move(self._varint())
            case 9 | 10:
                head = self._byte()
                count = head >> 4 if head >> 4 < 15 else self._varint()
                for _ in range(count):
                    self._skip(head & 15, depth + 1)
            case 12:
                self.struct(depth=depth)
            case _:
                raise ValueError

    def _move(self, count: int) -> None:
        self.place += count
        if self.place > self._end:
            raise IndexError

    def _byte(self) -> int:
        self._move(1)
        return self._data[self.place - 1]

    def _varint(self) -> int:
        value = shift = 0
        while True:
            byte = self._byte()
            value |= (byte & 127) << shift
            if byte < 128:
                return value
            shift += 7
            if shift > 63:
                raise ValueError

    def _integer(self) -> int:
        value = self._varint()
        return (value >> 1) ^ -(value & 1)
