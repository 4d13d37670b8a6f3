"""Reads files into one table of typed records, with the reasons against each.

Here bytes from strangers meet parsers. Nothing here knows the lake, so that all of it can be done
in a process that may come to harm (`apart`).
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import duckdb

from boathouse import lake
from boathouse.contracts import MOST_COLUMNS, RESERVED, Column, Contract, Format, Landing
from boathouse.ingest import counting
from boathouse.ingest.checks import filename_select
from boathouse.ingest.content import Part, RefusedFileError, unpack
from boathouse.ingest.csv_reader import CsvReader
from boathouse.ingest.deliveries import Delivery, is_unchanged
from boathouse.ingest.json_reader import JsonReader
from boathouse.ingest.layout import laid_out
from boathouse.ingest.parser import Parser, run_rules
from boathouse.ingest.records import Chunk, Malformed
from boathouse.ingest.report import Outcome
from boathouse.ingest.table_reader import TableReader
from boathouse.lake import Lake
from boathouse.settings import MIB, Settings

PACKING_SUFFIXES = (".gz", ".zst", ".bz2", ".zip")
_SUFFIX_FORMATS: dict[str, Format] = {
    ".csv": "csv",
    ".tsv": "csv",
    ".tab": "csv",
    ".txt": "csv",
    ".json": "json",
    ".geojson": "json",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
    ".xlsx": "xlsx",
}
MOST_REASONS = 5
SMALL_BATCH = 4 * MIB  # over less, threads mostly wait for each other
_ENGINES_SHARE = 0.55  # of the reader's memory; the rest is what DuckDB does not count


@dataclass(frozen=True)
class Job:
    """Files of one source that are to be read together."""

    contract: Contract
    settings: Settings
    work: Path  # an empty folder
    files: dict[int, Outcome]  # by file number
    table: tuple[str, ...] = ()  # the raw table's columns, where the contract adds new ones


@dataclass(frozen=True)
class Found:
    """What was read; `records` is the query for all that could be split into fields."""

    files: dict[int, Outcome]
    filename_values: dict[int, tuple[Any, ...]]
    malformed: list[Malformed]
    records: str


def read(job: Job) -> Found:
    """Read the files of a job on an engine of its own.

    Raises:
        ContractError: a rule of the contract cannot be run.
        RefusedFileError: the files have more columns than a table can have.
    """
    settings = job.settings
    is_small = sum(outcome.file.size for outcome in job.files.values()) < SMALL_BATCH
    if not is_small:
        counting.make_ready()
    config = lake.config(settings) | {
        "memory_limit": f"{int(settings.reader_bytes * _ENGINES_SHARE)}B",
        "threads": 1 if is_small else settings.threads,
        "python_enable_replacements": False,
    }
    with duckdb.connect(config=config) as con:
        con.execute("set timezone = 'UTC'")
        reading = Reading(Lake(con), job)
        reading.collect()
        return reading.parse()


class Reading:
    """Reads the files of a job (`collect`), then turns them into the view `records` (`parse`)."""

    def __init__(self, opened: Lake, job: Job) -> None:
        self.lake = opened
        self.contract = job.contract
        self._job = job
        self._csv = CsvReader(job.contract, job.settings, job.work)
        self._json = JsonReader(opened, job.contract, job.settings, job.work)
        self._tables = TableReader(opened.con, job.contract, job.settings, job.work)
        self._parser = Parser(opened, job.contract, job.work)
        self._filename_values: dict[int, tuple[Any, ...]] = {}
        self._rows: dict[int, int] = {}
        self._typed_names: dict[tuple[str | None, ...], tuple[Any, ...]] = {}

    @property
    def _loaded(self) -> dict[int, Outcome]:
        return {n: outcome for n, outcome in self._job.files.items() if outcome.status == "loaded"}

    # -- reading ---------------------------------------------------------------------------

    def collect(self) -> None:
        """Read every file; what cannot be read becomes a rejected or unfinished outcome."""
        for file_no, outcome in self._job.files.items():
            with self._judged(file_no):
                self._filename_values[file_no] = self._from_name(outcome.file.name)
                self._rows[file_no] = self._read_parts(file_no, outcome.file)

    @contextmanager
    def _judged(self, file_no: int) -> Iterator[None]:
        """Read a file, and note in its outcome if that cannot be done.

        What its first parts left in shared blobs then belongs to a file that nobody loads.
        """
        outcome = self._job.files[file_no]
        refusal = ""
        try:
            yield
        except RefusedFileError as error:
            refusal = str(error)
        except FileNotFoundError:
            if is_unchanged(outcome.file):
                raise
        if not is_unchanged(outcome.file):
            outcome.status = "unfinished"
        elif refusal:
            outcome.set_aside(refusal)

    def _read_parts(self, file_no: int, file: Delivery) -> int:
        kind = format_of(file.name, self.contract.landing.format)
        rows = 0
        for part in self._parts(file, self._job.work, kind):
            match kind:
                case "csv":
                    rows += self._csv.add(file_no, part, rows + 1)
                case "json" | "jsonl":
                    rows += self._json.add(file_no, part, rows + 1, is_lines=kind == "jsonl")
                case _:
                    rows += self._tables.add(file_no, part, rows + 1, is_workbook=kind == "xlsx")
            _let_go(part, file)
        return rows

    def _parts(self, file: Delivery, work: Path, kind: Format) -> Iterator[Part]:
        """Yield the parts of a file, text as the readers know it; what they were is deleted."""
        landing = self.contract.landing
        for part in unpack(
            file, self._job.settings, work, is_workbook=kind == "xlsx", members=landing.members
        ):
            if kind in ("parquet", "xlsx"):
                yield part
                continue
            text = laid_out(part, landing, work, is_csv=kind == "csv")
            if text is not part:
                _let_go(part, file)
            yield text

    def _from_name(self, name: str) -> tuple[Any, ...]:
        """Return the typed values that the file's name gives."""
        columns = self.contract.filename_columns
        if not columns:
            return ()
        patterns = self.contract.landing.filename_columns
        base = name.rpartition("/")[2]
        texts: dict[str, str | None] = {}
        for column in columns:
            if column.name in patterns:
                pattern = patterns[column.name]
                found = re.search(pattern, name if "/" in pattern else base)
                texts[column.name] = found and found.group(1)
            else:
                texts[column.name] = hive_value(name, column.header or column.name)
        key = tuple(texts.values())
        if key not in self._typed_names:
            query = filename_select(columns, texts)
            self._typed_names[key] = run_rules(self.lake.con, self.contract, query).fetchall()[0]
        *values, reasons = self._typed_names[key]
        if reasons:
            raise RefusedFileError(f"from its name: {'; '.join(reasons)}")
        return tuple(values)

    # -- parsing ---------------------------------------------------------------------------

    def parse(self) -> Found:
        """Make the view `records`: every record read, typed, with the reasons against it.

        Raises:
            ContractError: a rule of the contract cannot be run.
            RefusedFileError: the files have more columns than a table can have.
        """
        records = ""
        if self._loaded:
            chunks = self._csv.chunks() + self._json.chunks() + self._tables.chunks()
            columns = self._columns(chunks)
            self._parser.malformed = self._csv.malformed + self._json.malformed
            misread = self._parser.parse(chunks, columns)
            if misread:
                self._parser.forget(misread)
                self._parser.parse(self._read_again(misread), columns)
            records = self._parser.records(columns)
            self.lake.con.execute(f"create or replace temp view records as {records}")
            self._count()
        return Found(self._job.files, self._filename_values, self._malformed, records)

    @property
    def _malformed(self) -> list[Malformed]:
        """Return the records that could not be split into fields, and so are not in `records`."""
        return self._parser.malformed

    def _columns(self, chunks: list[Chunk]) -> list[Column]:
        """Return the columns to read: the contract's, and new ones when the contract adds them."""
        columns = list(self.contract.file_columns)
        if self.contract.landing.new_columns == "add":
            names = dict.fromkeys(self._job.table)
            names |= {name: None for chunk in chunks for name in chunk.values}
            known = {column.name for column in self.contract.columns}
            known |= set(RESERVED)
            added = [n for n in names if n and not n.startswith("_") and n not in known]
            columns += [Column(name, "varchar", ()) for name in added]
            if len(columns) > MOST_COLUMNS:
                raise RefusedFileError(
                    f"with it, the table would have {len(columns):,} columns, more than the "
                    f"{MOST_COLUMNS:,} that it can have (new_columns: add)"
                )
        return columns

    def _read_again(self, file_nos: set[int]) -> list[Chunk]:
        """Read CSV files again without DuckDB."""
        work = self._job.work / "again"
        work.mkdir()
        reader = CsvReader(self.contract, self._job.settings, work)
        for file_no in sorted(file_nos & set(self._loaded)):
            file = self._job.files[file_no].file
            with self._judged(file_no):
                rows = 0
                for part in self._parts(file, work, "csv"):
                    rows += reader.add(file_no, part, rows + 1, plain=False)
                    _let_go(part, file)
                self._rows[file_no] = rows
        self._parser.malformed += reader.malformed
        return reader.chunks()

    def _count(self) -> None:
        """Fill in row counts, and refuse files whose contract takes no bad row."""
        counts = {
            file_no: (rows, bad)
            for file_no, rows, bad in self.lake.rows(
                "select _file_no, count(*), count(*) filter (_reasons is not null) "
                "from records group by _file_no"
            )
        }
        malformed = Counter(record.file_no for record in self._malformed)
        reasons = self._first_reasons() if malformed or any(b for _, b in counts.values()) else {}
        for file_no, outcome in self._loaded.items():
            rows, bad = counts.get(file_no, (0, 0))
            outcome.rows_rejected = bad + malformed[file_no]
            outcome.rows_loaded = rows - bad
            outcome.rows_read = rows + malformed[file_no]
            if outcome.rows_read != self._rows[file_no]:
                raise AssertionError(
                    f"{outcome.file.name}: {self._rows[file_no]} records were counted "
                    f"but {outcome.rows_read} were read"
                )
            if outcome.rows_rejected:
                outcome.reason = _summary(outcome, reasons[file_no])
                limit = _broken_limit(outcome, self.contract.landing)
                if limit:
                    reason = f"it has bad rows ({limit}): {outcome.reason}"
                    outcome.set_aside(reason)

    def _first_reasons(self) -> dict[int, list[tuple[int, list[str]]]]:
        """Return the first rejected rows of every file with their reasons, by file number."""
        found: dict[int, list[tuple[int, list[str]]]] = {}
        rows = self.lake.rows(
            "select _file_no, _row, _reasons from records where _reasons is not null "
            f"qualify row_number() over (partition by _file_no order by _row) <= {MOST_REASONS}"
        )
        rows += [(bad.file_no, bad.row, [bad.reason]) for bad in self._malformed]
        for file_no, row, reasons in rows:
            found.setdefault(file_no, []).append((row, reasons))
        return {file_no: sorted(told)[:MOST_REASONS] for file_no, told in found.items()}


def hive_value(name: str, key: str) -> str | None:
    """Return what a folder `key=value` in a file's path says; None when none does.

    As Hive writes them: `%3A` stands for a colon, `__HIVE_DEFAULT_PARTITION__` for no value.
    """
    for folder in reversed(name.split("/")[:-1]):
        found, is_pair, value = folder.partition("=")
        if is_pair and found.lower() == key.lower():
            return None if value == "__HIVE_DEFAULT_PARTITION__" else unquote(value)
    return None


def _broken_limit(outcome: Outcome, landing: Landing) -> str:
    """Return which limit a file's bad rows go beyond, if any."""
    bad, most, share = outcome.rows_rejected, landing.max_bad_rows, landing.max_bad_share
    if landing.bad_rows == "reject_file":
        return "bad_rows: reject_file"
    if most is not None and bad > most:
        return f"max_bad_rows: {most}"
    if share is not None and bad > share * outcome.rows_read:
        return f"max_bad_share: {share}"
    return ""


def format_of(name: str, formats: Sequence[Format]) -> Format:
    """Return the contract's format, or the one that the name says when there are several.

    Raises:
        RefusedFileError: there are several, and the name says none of them.
    """
    if len(formats) == 1:
        return formats[0]
    path = Path(name.lower())
    suffix = path.suffix
    if suffix in PACKING_SUFFIXES:
        suffix = Path(path.stem).suffix
    found = _SUFFIX_FORMATS.get(suffix)
    if found == "json" and "json" not in formats:
        found = "jsonl"
    if found is None or found not in formats:
        raise RefusedFileError(
            f"its name does not say which of the formats {', '.join(formats)} it has"
        )
    return found


def _let_go(part: Part, file: Delivery) -> None:
    """Delete what was unpacked to disk: its records are in blobs and tables now."""
    if isinstance(part.content, Path) and part.content != file.path:
        part.content.unlink()


def _summary(outcome: Outcome, first: list[tuple[int, list[str]]]) -> str:
    """Return what is wrong with a file's rows: the first ones by row, and how many more."""
    told = [f"row {row:,}: {'; '.join(reasons)}" for row, reasons in first]
    more = outcome.rows_rejected - len(told)
    total = f"{outcome.rows_rejected:,} of {outcome.rows_read:,} rows rejected"
    return f"{total}: {' · '.join(told)}{f' · and {more:,} more' if more > 0 else ''}"
