"""The contracts of the sources, read from the dbt source YAML and checked.

A contract is a source table's entry in `models/staging/<domain>/_<domain>__sources.yml`. This
module knows what a contract says; what is done with it is the business of `boathouse.ingest`.
"""

import codecs
import json
import re
import zoneinfo
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Self, TypeGuard

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from boathouse.errors import ContractError
from boathouse.rules import HINT, Rule, mapping, row_rules
from boathouse.sql import identifier, snake_case

Format = Literal["csv", "json", "jsonl", "parquet", "xlsx"]
SOURCE_NAME = "raw"
SYSTEM_COLUMNS = {
    "_load_id": "bigint",
    "_file": "varchar",
    "_row": "bigint",
    "_loaded_at": "timestamp",
}
RESCUE_COLUMN = "_extra"
INTEGERS = ("bigint", "integer", "smallint")
MOST_COLUMNS = 1500  # of a table: SQLite as the catalogue can keep 2,000, PostgreSQL 1,600
RESERVED = ("rowid", "row_id", "begin_snapshot", "end_snapshot")  # by DuckDB and DuckLake
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # in C ten times as fast
_DIRECTIVES = "aAbBdfgHIjmMnpSwyYzZcxX"
_TYPES = re.compile(
    r"varchar|bigint|integer|smallint|double|boolean|date|timestamp|json"
    r"|decimal\((?P<width>\d+), ?(?P<scale>\d+)\)"
)


class Landing(BaseModel):
    """What `config.meta.landing` says of a source's files."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    files: tuple[str, ...] = Field(min_length=1)
    format: tuple[Format, ...] = Field(min_length=1)
    delimiter: tuple[str, ...] = (",",)
    filename_columns: Mapping[str, str] = {}
    new_columns: Literal["reject", "add", "rescue"] = "reject"
    bad_rows: Literal["quarantine", "reject_file"] = "quarantine"
    redelivery: Literal["replace", "append"] = "replace"
    same_content: Literal["load", "skip", "reject"] = "load"
    max_bad_rows: int | None = Field(default=None, ge=0)
    max_bad_share: float | None = Field(default=None, ge=0, le=1)
    ignore: tuple[str, ...] = ("_SUCCESS", "~$*", ".DS_Store")
    members: tuple[str, ...] = ()
    hive_columns: tuple[str, ...] = ()
    encoding: str = "utf-8"
    skip_rows: int = Field(default=0, ge=0)
    header_row: int = Field(default=1, ge=1)
    no_header: bool = False
    comment: str = ""
    records: str = ""
    sheet: str | int = ""
    null_values: tuple[str, ...] = ()
    trim: bool = False
    decimal: Literal["", ".", ","] = ""
    thousands: Literal["", ".", ",", "'", "’", " ", "\u00a0", "\u202f", "_"] = ""
    strip: tuple[str, ...] = ()
    date_formats: tuple[str, ...] = ()
    timestamp_formats: tuple[str, ...] = ()
    epoch: Literal["s", "ms", "us", "ns"] | None = None
    timezone: str = "UTC"

    @field_validator(
        *("files", "format", "delimiter", "ignore", "members", "hive_columns", "null_values"),
        *("strip", "date_formats", "timestamp_formats"),
        mode="before",
    )
    @classmethod
    def _one_or_many(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value

    @field_validator("delimiter")
    @classmethod
    def _single_characters(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        wrong = [text for text in value if len(text) != 1 or text in '"\r\n']
        if wrong or not value:
            raise ValueError("each delimiter is one character other than a quote or line end")
        return value

    @field_validator("null_values")
    @classmethod
    def _without_space(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(text.strip() for text in value)

    @field_validator("strip")
    @classmethod
    def _not_of_numbers(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        wrong = [text for text in value if not text.strip() or re.search(r"[\d.,+\-eE]", text)]
        if wrong:
            raise ValueError(f"{wrong[0]!r} is empty or can be part of a number")
        return value

    @field_validator("date_formats", "timestamp_formats")
    @classmethod
    def _strptime_formats(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for text in value:
            directives = re.findall(r"%-?(.)", text.replace("%%", ""))
            wrong = [d for d in directives if d not in _DIRECTIVES]
            if wrong or not directives:
                raise ValueError(f"{text!r} is no format as strptime has them, like %d/%m/%Y")
        return value

    @field_validator("encoding")
    @classmethod
    def _known_encoding(cls, value: str) -> str:
        if value == "auto":
            return value
        try:
            found = codecs.lookup(value)
        except LookupError:
            raise ValueError(f"Python knows no encoding {value!r}") from None
        if not found._is_text_encoding:
            raise ValueError(f"{value!r} is no encoding of text")
        return found.name

    @field_validator("timezone")
    @classmethod
    def _known_timezone(cls, value: str) -> str:
        if value not in zoneinfo.available_timezones():
            raise ValueError(f"{value!r} is no time zone, like Europe/Berlin")
        return value

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> Self:
        if self.thousands and self.thousands == (self.decimal or "."):
            raise ValueError("decimal and thousands cannot be the same sign; say what decimal is")
        if self.no_header and self.header_row > 1:
            raise ValueError("there is no header_row when there is no_header")
        return self

    @field_validator("filename_columns")
    @classmethod
    def _one_group_each(cls, value: Mapping[str, str]) -> Mapping[str, str]:
        for column, pattern in value.items():
            try:
                groups = re.compile(pattern).groups
            except re.error as error:
                raise ValueError(
                    f"the pattern of {column} is no regular expression: {error}"
                ) from error
            if groups != 1:
                raise ValueError(f"the pattern of {column} needs exactly one (group)")
        return value


@dataclass(frozen=True)
class Column:
    """One column of a contract."""

    name: str
    data_type: str
    rules: tuple[Rule, ...]
    header: str = ""  # what files call it; its own name unless said
    position: int = 0  # where it stands in their header, counted from 1; wherever it is if 0

    @property
    def header_words(self) -> str:
        """Return its name and what files call it, for a message."""
        header = json.dumps(self.header, ensure_ascii=False) if self.header else ""
        place = f"column {self.position}" if self.position else ""
        told = " in ".join(filter(None, [header, place]))
        return f"{self.name} (from: {told})" if told else self.name

    def is_called(self, header: str) -> bool:
        """Return whether files may call it so."""
        return (
            self.header.strip() == header.strip()
            or snake_case(self.header) == snake_case(header) != ""
        )

    @property
    def scale(self) -> int | None:
        """Return how many decimals a value has, 0 for whole numbers; None for other types."""
        if self.data_type in INTEGERS:
            return 0
        found = _TYPES.fullmatch(self.data_type)
        return int(found["scale"]) if found and found["scale"] else None


@dataclass(frozen=True)
class Contract:
    """What the loader enforces for one source."""

    source: str
    domain: str
    path: Path
    landing: Landing
    columns: tuple[Column, ...]
    event_time: str | None
    warn_after: timedelta | None = None  # without a delivery, as dbt's `freshness` says
    error_after: timedelta | None = None

    @property
    def table(self) -> str:
        """Return the raw table's name in SQL."""
        return f"lake.raw.{identifier(self.source)}"

    @property
    def replaced_table(self) -> str:
        """Return the name of the table of rows that a corrected delivery took back."""
        return f"lake.replaced.{identifier(self.source)}"

    @cached_property
    def file_columns(self) -> tuple[Column, ...]:
        """Return the columns that are read from a file's content."""
        return tuple(c for c in self.columns if not self._is_from_name(c))

    @property
    def filename_columns(self) -> tuple[Column, ...]:
        """Return the columns that are read from a file's name or path."""
        return tuple(c for c in self.columns if self._is_from_name(c))

    def column(self, name: str) -> Column:
        """Return a column by its name; one that the contract does not know is text."""
        return self._by_name.get(name) or Column(name, "varchar", ())

    @cached_property
    def _by_name(self) -> dict[str, Column]:
        return {column.name: column for column in self.columns}

    def _is_from_name(self, column: Column) -> bool:
        return column.name in (*self.landing.filename_columns, *self.landing.hive_columns)

    def table_columns(self) -> dict[str, str]:
        """Return all columns of the raw table with their types, in order."""
        columns = {column.name: column.data_type for column in self.columns}
        if self.landing.new_columns == "rescue":
            columns[RESCUE_COLUMN] = "json"
        return columns | SYSTEM_COLUMNS

    def names_of(self, headers: Sequence[str]) -> list[str]:
        """Return the columns of a file's headers: in snake_case, or as `from` says."""
        names = [self.name_of(header) for header in headers]
        for column in self._placed:
            names = [_other_than(column, name) for name in names]
            at = column.position - 1
            if at < len(names) and (not column.header or column.is_called(headers[at])):
                names[at] = column.name
        return names

    def name_of(self, header: str) -> str:
        """Return the column of one header, or of a key in JSON, wherever it stands."""
        name = snake_case(header)
        for column in self._renamed:
            if column.is_called(header):
                return column.name
            name = _other_than(column, name)
        return name

    @cached_property
    def _placed(self) -> list[Column]:
        return [column for column in self.file_columns if column.position]

    @cached_property
    def _renamed(self) -> list[Column]:
        return [c for c in self.file_columns if c.header and not c.position]

    def matches(self, name: str) -> bool:
        """Return whether a file name (a path relative to the landing folder) is this source's."""
        lower = name.lower()
        base = lower.rpartition("/")[2]
        return any(
            fnmatchcase(lower if "/" in pattern else base, spelling)
            for pattern in self.landing.files
            # `**/` stands for any folders, or for none
            for spelling in {pattern.lower(), pattern.lower().replace("**/", "")}
        )


def _other_than(column: Column, name: str) -> str:
    """Return a name that is not that of a column which files call otherwise."""
    return f"{name}_in_file" if name == column.name else name


def load_contracts(project: Path) -> dict[str, Contract]:
    """Return all contracts of a dbt project by source name.

    Raises:
        ContractError: a file is no YAML or a contract is not valid; names file, table and key.
    """
    contracts: dict[str, Contract] = {}
    for path in sorted((project / "models").rglob("*__sources.yml")):
        for contract in _read(path, project):
            if contract.source in contracts:
                other = contracts[contract.source].path
                raise ContractError(
                    f"{_where(path, project)}: table {contract.source} is also in {other}.",
                    hint="A raw table has one contract; delete one of the two.",
                )
            contracts[contract.source] = contract
    return contracts


def _where(path: Path, project: Path) -> str:
    return path.relative_to(project).as_posix()


def _read(path: Path, project: Path) -> Iterator[Contract]:
    where = _where(path, project)
    try:
        document = yaml.load(path.read_text(encoding="utf-8"), _Loader) or {}
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ContractError(f"{where}: is no valid YAML: {error}", hint=HINT) from error
    domain = path.parent.name
    for source in _items(document, "sources", where):
        if source.get("name") != SOURCE_NAME:
            continue
        for table in _items(source, "tables", where):
            yield _contract(table, path, where, domain)


def _items(holder: Any, key: str, where: str) -> list[dict[str, Any]]:
    items = holder.get(key, []) if isinstance(holder, dict) else None
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise ContractError(f"{where}: {key} must be a list of entries.", hint=HINT)
    return items


def _contract(table: dict[str, Any], path: Path, where: str, domain: str) -> Contract:
    name = table.get("name")
    if not _is_name(name):
        raise ContractError(f"{where}: name {name!r} is no snake_case table name.", hint=HINT)
    place = f"{where}: table {name}"
    config = mapping(table.get("config"), f"{place}: config")
    meta = mapping(config.get("meta"), f"{place}: config.meta")
    landing = _landing(meta.get("landing"), place)
    columns = tuple(_column(entry, place) for entry in _items(table, "columns", place))
    names = [column.name for column in columns]
    if not columns:
        raise ContractError(f"{place}: columns is empty.", hint=HINT)
    if len(columns) > MOST_COLUMNS:
        raise ContractError(
            f"{place}: there are {len(columns):,} columns, more than the {MOST_COLUMNS:,} that a "
            "table can have.",
            hint="Name those that are asked for; `new_columns: rescue` keeps the others as JSON.",
        )
    if len(set(names)) < len(names):
        twice = next(column for column in names if names.count(column) > 1)
        raise ContractError(f"{place}: column {twice} is there twice.", hint=HINT)
    event_time = config.get("event_time")
    for key, column in [
        *(("config.meta.landing.filename_columns", column) for column in landing.filename_columns),
        *(("config.meta.landing.hive_columns", column) for column in landing.hive_columns),
        *([("config.event_time", event_time)] if event_time is not None else []),
    ]:
        if column not in names:
            raise ContractError(f"{place}: {key} names {column}, which is no column.", hint=HINT)
    freshness = mapping(config.get("freshness"), f"{place}: config.freshness")
    warn_after, error_after = (
        _duration(freshness.get(key), f"{place}: config.freshness.{key}")
        for key in ("warn_after", "error_after")
    )
    return Contract(name, domain, path, landing, columns, event_time, warn_after, error_after)


def _duration(entry: Any, place: str) -> timedelta | None:
    if entry is None:
        return None
    given = mapping(entry, place)
    count, period = given.get("count"), given.get("period")
    if type(count) is not int or count < 1 or period not in ("minute", "hour", "day"):
        raise ContractError(
            f"{place}: needs a count of at least 1, and minute, hour or day as its period.",
            hint=HINT,
        )
    return timedelta(**{f"{period}s": count})


def _landing(entry: Any, place: str) -> Landing:
    if entry is None:
        raise ContractError(f"{place}: config.meta.landing is missing.", hint=HINT)
    try:
        return Landing.model_validate(entry)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(["config.meta.landing", *(str(part) for part in first["loc"])])
        problem = first["msg"].removeprefix("Value error, ")
        if first["type"] == "extra_forbidden":
            problem = f"there is no such key; the keys are {', '.join(Landing.model_fields)}"
        raise ContractError(f"{place}: {key}: {problem}.", hint=HINT) from error


def _is_name(name: Any) -> TypeGuard[str]:
    return isinstance(name, str) and name != "" and snake_case(name) == name


def _is_type(data_type: str) -> bool:
    found = _TYPES.fullmatch(data_type)
    if found is None or found["width"] is None:
        return found is not None
    return 0 < int(found["width"]) <= 38 and int(found["scale"]) <= int(found["width"])


def _column(entry: dict[str, Any], place: str) -> Column:
    name = entry.get("name")
    if not _is_name(name) or name.startswith("_"):
        raise ContractError(f"{place}: column name {name!r} is not snake_case.", hint=HINT)
    if name in RESERVED:
        raise ContractError(
            f"{place}: column name {name} is reserved by the lake.",
            hint=f"Give it another name, and say `config: {{meta: {{from: {name}}}}}`.",
        )
    data_type = str(entry.get("data_type", "")).lower()
    if not _is_type(data_type):
        raise ContractError(
            f"{place}: column {name}: data_type {entry.get('data_type')!r} is none of varchar, "
            "bigint, integer, smallint, double, boolean, date, timestamp, json, decimal(p, s) with "
            "p up to 38.",
            hint=HINT,
        )
    tests = entry.get("data_tests", entry.get("tests")) or []
    if not isinstance(tests, list):
        raise ContractError(f"{place}: column {name}: data_tests must be a list.", hint=HINT)
    place = f"{place}: column {name}"
    rules = tuple(rule for test in tests for rule in row_rules(name, test, place))
    return Column(name, data_type, rules, *_header(entry, place))


def _header(entry: dict[str, Any], place: str) -> tuple[str, int]:
    """Return what files call a column and where it stands, as its `from` says."""
    config = mapping(entry.get("config"), f"{place}: config")
    meta = mapping(entry.get("meta"), f"{place}: meta")
    meta = {**meta, **mapping(config.get("meta"), f"{place}: config.meta")}
    given = meta.get("from")
    if isinstance(given, dict) and set(given) <= {"header", "position"}:
        header, position = given.get("header", ""), given.get("position", 0)
    else:
        is_position = type(given) is int
        header, position = ("", given) if is_position else (given or "", 0)
    if not isinstance(header, str) or type(position) is not int or position < 0:
        raise ContractError(
            f"{place}: config.meta.from must be a header, the number of a column, counted from 1, "
            "or both as `{header: …, position: …}`.",
            hint=HINT,
        )
    return header, position
