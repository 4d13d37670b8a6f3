"""Parquet files as chunks of records; DuckDB reads what is known to be safe and exact.

Values go on as text, as those of other formats do. Texts of whole doubles are digits, so that `5.0`
is a whole number; everything else is the shortest text that is the same value.
"""

from dataclasses import replace
from pathlib import Path

import duckdb

from boathouse.contracts import INTEGERS, Contract
from boathouse.ingest.content import Part, RefusedFileError
from boathouse.ingest.dialect import spelled
from boathouse.ingest.header import header_problem
from boathouse.ingest.json_text import is_json
from boathouse.ingest.parquet_pages import check_pages
from boathouse.ingest.parquet_schema import FileColumn, file_columns, scan
from boathouse.ingest.parquet_times import cut_times
from boathouse.ingest.records import Chunk, Member, Value, as_object, copy_to, keep_unknown
from boathouse.settings import Settings
from boathouse.sql import identifier, literal, path_literal
from boathouse.surroundings import is_full_disk

_ROW_NUMBER = "file_row_number"
_NUMBERS = {
    *("BOOLEAN", "FLOAT", "DOUBLE", "INTEGER", "UINTEGER"),
    *(f"{sign}{kind}INT" for sign in ("", "U") for kind in ("TINY", "SMALL", "BIG", "HUGE")),
}  # which JSON writes as DuckDB does
_COLUMNS_AT_A_TIME = 64
_MOST_WHOLE = "1e17"  # above it, the digits of a whole double are not those that were written


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
        self._added += 1
        if isinstance(part.content, bytes):
            path.write_bytes(part.content)
        else:
            path.symlink_to(part.content)
        try:
            check_pages(self._con, path, self._settings.max_unpacked_bytes)
            columns = file_columns(self._con, path)
            names = self._contract.names_of([column.name for column in columns])
            problem = header_problem(names, self._contract)
            if problem:
                raise RefusedFileError(problem)
            count, relation, cut = self._read(path, columns, file_no, first_row)
        except (duckdb.Error, UnicodeDecodeError) as error:
            if is_full_disk(error) or isinstance(error, duckdb.OutOfMemoryException):
                raise
            first_line = str(error).partition("\n")[0].replace(f' "{path}"', "")
            raise RefusedFileError(f"it cannot be read as Parquet file: {first_line}") from error
        finally:
            path.unlink()
        self._chunks.append(self._chunk(relation, names, columns, cut))
        return count

    def _read(
        self, path: Path, columns: list[FileColumn], file_no: int, first_row: int
    ) -> tuple[int, str, set[int]]:
        """Read a file into others: return its length, a relation, and which columns had times cut.

        Column `c0` is the first one; `m0` and `d0` are its microseconds and the digits below them
        where there are any. A few columns are read at a time, since of each a page is in memory.
        """
        place = f"{file_no}::int as _file_no, _position + {first_row} as _row"
        is_taken = any(column.read_as.lower() == _ROW_NUMBER for column in columns)
        numbered = (
            f"select *, row_number() over () - 1 as _position from {scan(path)}"
            if is_taken
            else f"select *, {_ROW_NUMBER} as _position from "
            + scan(path, f", {_ROW_NUMBER} = true")
        )
        relations, count, cut = [], 0, set()
        for start in range(0, len(columns), _COLUMNS_AT_A_TIME):
            selected = [place] if start == 0 else []
            joins = ""
            for number, column in enumerate(columns[start : start + _COLUMNS_AT_A_TIME], start):
                selected.append(f"{identifier(column.read_as)} as c{number}")
                times = cut_times(path, column) if column.is_cut else None
                if times is None or times.num_rows == 0:
                    continue
                self._con.register("times", times)
                self._con.execute(f"create or replace temp table times_{number} as from times")
                self._con.unregister("times")
                selected += [f"t{number}.micros as m{number}", f"t{number}.digits as d{number}"]
                joins += f" left join times_{number} as t{number} on t{number}.row = _position"
                cut.add(number)
            records = path.with_suffix(f".{start}.parquet")
            query = f"select {', '.join(selected)} from ({numbered}){joins}"
            query += " order by _position" if joins else ""
            written = self._con.execute(copy_to(records, query, len(columns))).fetchall()
            count = int(written[0][0])
            relations.append(f"read_parquet({path_literal(records)})")
        for number in cut:
            self._con.execute(f"drop table times_{number}")
        relation = (
            relations[0] if len(relations) == 1 else f"(from {' positional join '.join(relations)})"
        )
        return count, relation, cut

    def _chunk(
        self, relation: str, names: list[str], columns: list[FileColumn], cut: set[int]
    ) -> Chunk:
        types = {column.name: column.data_type for column in self._contract.columns}
        values, originals, extras = {}, [], {}
        for number, (name, column) in enumerate(zip(names, columns, strict=True)):
            # A new column that is not rescued is added, as text.
            target = self._contract.column(name)
            value = _value(name, f"c{number}", column, target.data_type)
            if column.kind == "VARCHAR" or target.data_type in ("date", "timestamp"):
                text = spelled(value.text, target, self._contract.landing)
                value = replace(value, text=text)
            if number in cut:
                value = _cut_value(name, number, column, target.data_type)
            if name not in types and self._contract.landing.new_columns == "rescue":
                value = _for_json(name, value, column)
            values[name] = value
            extras[name] = _member(f"c{number}", column, value)
            originals.append((column.name, extras[name]))
        chunk = Chunk(relation, values, original=as_object(originals))
        keep_unknown(chunk, self._contract, extras)
        return chunk

    def chunks(self) -> list[Chunk]:
        """Return how to read all that was added."""
        return self._chunks


def _value(name: str, sql: str, column: FileColumn, target: str) -> Value:
    """Return a column's values as text that a column of type `target` is read from."""
    text = f"{sql}::varchar"
    if column.is_nested:
        return Value(f"to_json({sql})::varchar", f"{sql} is not null")
    if column.kind in ("FLOAT", "DOUBLE") and target != "double":
        is_whole = f"abs({sql}) < {_MOST_WHOLE} and {sql} = trunc({sql})"
        return Value(f"case when {is_whole} then {sql}::bigint::varchar else {text} end")
    if column.kind.startswith("DECIMAL") and target in INTEGERS:
        return Value(rf"regexp_replace({text}, '\.0+$', '')")
    if column.kind == "TIMESTAMP_NS" and target in ("date", "timestamp"):
        is_fine = f"isfinite({sql}) and epoch_ns({sql}) % 1000 <> 0"
        return Value(text, problem=f"case when {is_fine} then {_too_fine(name, text)} end")
    return Value(text)


def _cut_value(name: str, number: int, column: FileColumn, target: str) -> Value:
    """Return the same for a column of times that DuckDB has cut."""
    shown = f"strftime(make_timestamp(m{number}), '%Y-%m-%d %H:%M:%S.%f')"
    shown += f" || lpad(d{number}::varchar, 3, '0')"
    if column.kind.startswith("TIME") and not column.kind.startswith("TIMESTAMP"):
        shown = f"({shown})[12:]"
    offset = " || '+00'" if column.kind.endswith("WITH TIME ZONE") else ""
    exact = f"rtrim({shown}, '0'){offset}"
    text = f"case when d{number} is null then c{number}::varchar else {exact} end"
    if target not in ("date", "timestamp"):
        return Value(text)
    return Value(text, problem=f"case when d{number} > 0 then {_too_fine(name, exact)} end")


def _for_json(name: str, value: Value, column: FileColumn) -> Value:
    """Return a value that goes into JSON, which has neither NaN nor infinity."""
    if column.is_nested:
        is_good, wrong = is_json(value.text), "not valid JSON"
    elif column.kind in ("FLOAT", "DOUBLE"):
        is_good, wrong = f"isfinite(({value.text})::double)", "not a finite number"
    else:
        return value
    problem = f"case when not {is_good} then {_reason(name, value.text, wrong)} end"
    return Value(value.text, value.is_nested, problem=problem)


def _member(sql: str, column: FileColumn, value: Value) -> Member:
    """Return a column's values in JSON: numbers, booleans and lists as such, all others as text."""
    if column.is_nested:
        return Member(f"to_json({sql})::varchar", is_json=True)
    if column.kind.startswith("TIME"):
        return Member(value.text)
    is_json = column.kind in _NUMBERS or column.kind.startswith("DECIMAL")
    return Member(f"{sql}::varchar", is_json)


def _too_fine(name: str, text: str) -> str:
    return _reason(name, text, "finer than a microsecond")


def _reason(name: str, text: str, wrong: str) -> str:
    return f"{literal(f'{name} is ')} || {text} || {literal(f', {wrong}')}"
