"""What a sample file tells of its source: how it is written, its columns, and their types.

The sample is read as the loader reads every file, and a column gets the narrowest type under
which the loader would accept all of its values.
"""

import json
import re
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, get_args

import duckdb

from boathouse import contracts
from boathouse.contracts import RESERVED, Contract, Format, Landing
from boathouse.errors import UsageError
from boathouse.ingest.checks import parse
from boathouse.ingest.content import Part, RefusedFileError, digest, unpack
from boathouse.ingest.deliveries import Delivery
from boathouse.ingest.dialect import spelled
from boathouse.ingest.header import split_header, start_of
from boathouse.ingest.layout import found_encoding, laid_out
from boathouse.ingest.reading import Job, Reading, format_of
from boathouse.ingest.report import Outcome
from boathouse.ingest.text import without_mark
from boathouse.lake import Lake
from boathouse.settings import Settings
from boathouse.sql import identifier, literal, snake_case

DELIMITERS = (",", ";", "\t", "|")
RANGES = {
    "timestamp": ("timestamp '2000-01-01'", "now()::timestamp + interval 1 day"),
    "date": ("date '2000-01-01'", "current_date + 1"),
}
_TYPES = ("bigint", "double", "date", "timestamp", "boolean", "json")
# Text that a type would take, but that most likely means something else: codes.
_NOT_MEANT = {
    "bigint": r"[+-]?0\d+|\+.*",
    "double": r"[+-]?0\d+(\.\d*)?|\+.*|nan|inf.*",
    "boolean": r"[^tf].*|.",  # 1 and y
    "json": r"[^{\[].*",
}
_MANY_DIGITS = r"[+-]?(\d\.?){16,}([eE].*)?"  # more than every double keeps
_NO_VALUE = ("NA", "N/A", "n/a", "#N/A", "NaN", "nan", "NULL", "null", "None", "-", "--", "..", "?")
_SIGNS = ("$", "€", "£", "¥", "₹", "%")
_MONEY = re.compile(
    r"(.*_)?(price|amount|cost|total|revenue|sales|fee|salary|paid|balance|usd|eur)"
)
_GROUPED: tuple[dict[str, Any], ...] = (
    {},
    {"thousands": ","},
    {"thousands": " "},
    {"thousands": "\u00a0"},
    {"thousands": "\u202f"},
    {"thousands": "'"},
)
_COMMA: tuple[dict[str, Any], ...] = (
    {"decimal": ","},
    {"decimal": ",", "thousands": "."},
    {"decimal": ",", "thousands": " "},
    {"decimal": ",", "thousands": "\u00a0"},
    {"decimal": ",", "thousands": "\u202f"},
)
_DAYS = (
    *(
        "%d/%m/%Y",
        "%m/%d/%Y",
        "%d.%m.%Y",
        "%d-%m-%Y",
        "%m-%d-%Y",
        "%Y.%m.%d",
        "%Y/%m/%d",
        "%d/%m/%y",
        "%m/%d/%y",
    ),
    *("%d.%m.%y", "%d %b %Y", "%d-%b-%Y", "%d-%b-%y", "%b %d, %Y", "%d %B %Y", "%B %d, %Y"),
    *("%b %d %Y", "%B %d %Y"),
)
_CLOCKS = (" %H:%M:%S", " %H:%M", " %I:%M:%S %p", " %I:%M %p", ", %H:%M", ", %I:%M %p")
_FEW_LINES = 50
_MOSTLY = 0.9
_FIRST = 1000  # records, on which what cannot be is found out
_KEYWORDS = "select keyword_name from duckdb_keywords() where keyword_category != 'unreserved'"


@dataclass(frozen=True)
class Column:
    """What a sample tells about a column; `example` is its first value as text, if it has any."""

    name: str
    data_type: str
    is_required: bool
    example: str | None
    is_in_range: bool  # all times are from 2000 to now
    header: str = ""  # what files call it, and where it stands, if its name does not say it
    position: int = 0
    value: str | None = None  # the example as its type writes it
    note: str = ""  # why it has no better type

    @property
    def staged(self) -> str:
        """Return its name in the staging model, where no name needs quotes for its first sign."""
        if self.name[0].isdigit():
            return f"value_{self.name}"
        return f"{self.name}_value" if self.name in _keywords() else self.name

    @property
    def needs_quotes(self) -> bool:
        """Return whether its name has to be quoted in SQL."""
        return self.staged != self.name or not re.fullmatch(r"[a-z_][a-z0-9_]*", self.name)


def look_at(settings: Settings, samples: Sequence[Path]) -> tuple[Landing, int, list[Column]]:
    """Return how files like these land, how many records they have, and what their columns are.

    Raises:
        UsageError: one cannot be read, or there is no record in them.
    """
    with (
        tempfile.TemporaryDirectory(prefix="boathouse-sample-") as work,
        duckdb.connect() as con,
    ):
        con.execute("set timezone = 'UTC'")
        files = [_delivery(sample) for sample in samples]
        try:
            landing, named = _landing(files[0], settings, Path(work))
        except RefusedFileError as error:
            raise UsageError(f"{samples[0]}: {error}.", hint="Give another sample file.") from error
        contract = Contract("sample", "sample", samples[0], landing, named, None)
        outcomes = {n: Outcome(file, digest(file), "loaded") for n, file in enumerate(files)}
        reading = Reading(Lake(con), Job(contract, settings, Path(work), outcomes))
        reading.collect()
        reading.parse()
        for outcome in outcomes.values():
            if outcome.status != "loaded":
                raise UsageError(f"{outcome.file.path}: {outcome.reason}.", hint="Mend the file.")
        rows = int(reading.lake.value("select count(*) from records"))
        names = [name for name, *_ in reading.lake.rows("describe records") if name[0] != "_"]
        if not rows or not names:
            raise UsageError(
                f"{samples[0]} has no record to learn from.", hint="Give a sample with records."
            )
        landing, columns = _Sample(reading.lake, names, landing).columns()
    told = {column.name: column for column in named}
    columns = [
        replace(c, header=told[c.name].header, position=told[c.name].position)
        if c.name in told
        else c
        for c in columns
    ]
    columns = [c for c in columns if c.example is not None or c.header not in RESERVED]
    return landing, rows, columns


def _delivery(sample: Path) -> Delivery:
    if not sample.is_file():
        raise UsageError(f"There is no file {sample}.", hint="Give the path of a sample file.")
    stat = sample.stat()
    return Delivery("sample", sample, sample.name, stat.st_size, stat.st_mtime_ns)


def _landing(
    file: Delivery, settings: Settings, work: Path
) -> tuple[Landing, tuple[contracts.Column, ...]]:
    """Return how a file is read, and its columns where their names are not the header's."""
    kind = format_of(file.name, get_args(Format))
    landing = Landing(files=("*",), format=(kind,), new_columns="add")
    if kind in ("parquet", "xlsx"):
        return landing, ()
    part = next(iter(unpack(file, settings, work, is_workbook=False)))
    encoding = found_encoding(part)
    if encoding not in ("utf-8", "utf-8-sig", "ascii"):
        landing = landing.model_copy(update={"encoding": encoding})
    if kind in ("json", "jsonl"):
        if kind == "json" and (path := _only_list(part)):
            landing = landing.model_copy(update={"records": path})
        reserved = (contracts.Column(f"{key}_value", "varchar", (), key) for key in RESERVED)
        return landing, tuple(reserved)
    start = start_of(laid_out(part, landing, work, is_csv=True))
    counts = {each: len(split_header(start, each)[0]) for each in DELIMITERS}
    delimiter = max(counts, key=lambda each: counts[each])
    if counts[delimiter] == 1 and _has_columns_by_space(start):
        delimiter = " "
    named = tuple(_named(split_header(start, delimiter)[0]))
    return landing.model_copy(update={"delimiter": (delimiter,)}), named


def _only_list(part: Part) -> str:
    """Return the key of a JSON object's only list of objects, if it is one: its records."""
    try:
        document = json.loads(without_mark(part.whole()))
    except (ValueError, RecursionError):  # lines, maybe
        return ""
    items = document.items() if isinstance(document, dict) else ()
    lists = [
        key
        for key, value in items
        if isinstance(value, list) and value and all(isinstance(each, dict) for each in value)
    ]
    return lists[0] if len(lists) == 1 and "." not in lists[0] else ""


def _has_columns_by_space(start: bytes) -> bool:
    """Return whether the first lines of a text have the same number of spaces, and some."""
    lines = [line for line in start.splitlines()[:_FEW_LINES] if line]
    counts = {line.count(b" ") for line in lines}
    return len(lines) > 1 and len(counts) == 1 and counts != {0}


def _named(headers: list[str]) -> Iterator[contracts.Column]:
    """Yield columns for headers, under names that the lake can keep.

    A header that comes twice, or is missing, is known by its place.
    """
    names = [snake_case(header) for header in headers]
    times = Counter(names)
    taken: set[str] = set()
    for place, (header, name) in enumerate(zip(headers, names, strict=True), 1):
        new = name or f"column_{place}"
        new = f"{new}_value" if new in RESERVED else new
        while new in taken or (new != name and new in names):
            new = f"{new}_{place}"
        taken.add(new)
        if times[name] > 1 or not name:
            yield contracts.Column(new, "varchar", (), header.strip(), place)
        else:
            yield contracts.Column(new, "varchar", (), name if new != name else "")


class _Sample:
    """Finds the dialect under which most columns of `records`, all text, are more than text."""

    def __init__(self, lake: Lake, names: list[str], landing: Landing) -> None:
        self._lake = lake
        self._names = names
        self._landing = landing
        listed = ", ".join(map(identifier, names))
        # By column and value, so that a way of writing is one expression, whatever the columns.
        lake.con.execute(
            "create or replace temp table first_values as select distinct name, value "
            f"from (unpivot (select {listed} from records limit {_FIRST}) "
            "on columns(*) into name name value value)"
        )
        self._has_more = lake.value("select count(*) from records") > _FIRST

    def columns(self) -> tuple[Landing, list[Column]]:
        """Return the dialect, and the columns as they are read under it."""
        landing = self._landing.model_copy(update={"null_values": _NO_VALUE})
        if landing.format == ("csv",):
            ways = self._numbers(landing)
            landing = max(ways, key=lambda each: len(self._fitting(each, "double", self._names)))
        landing, notes = self._with_days(landing)
        kinds = self._types(landing)
        landing = landing.model_copy(update={"null_values": self._no_values(kinds)})
        return landing, [self._column(name, kinds[name], landing, notes) for name in self._names]

    def _numbers(self, landing: Landing) -> Iterator[Landing]:
        """Yield the ways in which numbers may be written, the usual one first."""
        texts = " or ".join(f"contains({identifier(name)}, {{sign}})" for name in self._names)
        signs = [
            sign
            for sign in _SIGNS
            if self._lake.value(
                f"select count(*) from records where {texts.format(sign=literal(sign))}"
            )
        ]
        is_continental = landing.delimiter == (";",)
        first, *grouped = _GROUPED
        rest = [*_COMMA, *grouped] if is_continental else [*grouped, *_COMMA]
        for strip in dict.fromkeys([(), tuple(signs)]):
            for numbers in [first, *rest]:
                yield landing.model_copy(update={**numbers, "strip": strip})

    def _fitting(self, landing: Landing, kind: str, names: Sequence[str]) -> set[str]:
        """Return the columns whose values all fit a type under a dialect, and are meant so."""
        if not names:
            return set()
        unfit = self._unfit("value", kind, landing)
        first = self._lake.rows(f"select name from first_values group by name having {unfit} = 0")
        left = [name for (name,) in first if name in names]
        if left and self._has_more:
            checks = ", ".join(self._unfit(name, kind, landing) for name in left)
            found = self._lake.rows(f"select {checks} from records")[0]
            left = [name for name, unfit in zip(left, found, strict=True) if unfit == 0]
        return set(left)

    def _unfit(self, name: str, kind: str, landing: Landing) -> str:
        """Return SQL for how many values of a column do not fit a type; null without values."""
        text = spelled(identifier(name), contracts.Column(name, kind, ()), landing)
        not_meant = literal(_NOT_MEANT.get(kind, ""))
        return (
            f"case when count({text}) > 0 then count(*) filter ({text} is not null "
            f"and ({parse(text, kind)} is null "
            f"or regexp_full_match(lower(trim({text})), {not_meant}))) end"
        )

    def _with_days(self, landing: Landing) -> tuple[Landing, dict[str, str]]:
        """Return the dialect with the formats of days and times, and what cannot be told."""
        chosen: dict[str, list[str]] = {"date_formats": [], "timestamp_formats": []}
        notes: dict[str, str] = {}
        formats = {"date": _DAYS, "timestamp": tuple(d + c for d in _DAYS for c in _CLOCKS)}
        known = self._known(landing)
        digits = self._with_digits(landing)
        open_names = [name for name in self._names if name in digits and name not in known]
        for kind, key in (("date", "date_formats"), ("timestamp", "timestamp_formats")):
            fitting = {
                each: self._fitting(landing.model_copy(update={key: (each,)}), kind, open_names)
                for each in formats[kind]
            }
            for name in open_names:
                ways = [each for each in formats[kind] if name in fitting[each]]
                orders = {re.sub(r"[^dm]", "", way.lower())[:2] for way in ways}
                if len(orders) > 1:
                    told = " or ".join(ways[:2])
                    notes[name] = f"its days may be {told}: say which in `{key}`"
                elif ways:
                    chosen[key].append(ways[0])
        found = {key: tuple(dict.fromkeys(ways)) for key, ways in chosen.items()}
        return landing.model_copy(update=found), notes

    def _with_digits(self, landing: Landing) -> set[str]:
        """Return the columns whose values all have digits with something between, as days have."""
        text = spelled("value", contracts.Column("value", "varchar", ()), landing)
        found = self._lake.rows(
            "select name from first_values group by name "
            f"having coalesce(bool_and(regexp_matches({text}, '\\d\\D+\\d')), false)"
        )
        return {name for (name,) in found}

    def _types(self, landing: Landing) -> dict[str, str]:
        """Return the type of each column under a dialect."""
        kinds = dict.fromkeys(self._names, "varchar") | self._known(landing)
        for name, kind in kinds.items():
            if kind == "double":
                kinds[name] = self._money(name, landing) or self._double(name, landing)
        return kinds

    def _known(self, landing: Landing) -> dict[str, str]:
        """Return the first type that all values of a column fit, of those that are not text."""
        kinds: dict[str, str] = {}
        for kind in _TYPES:
            open_names = [name for name in self._names if name not in kinds]
            kinds |= dict.fromkeys(self._fitting(landing, kind, open_names), kind)
        return kinds

    def _double(self, name: str, landing: Landing) -> str:
        """Return `double`, unless numbers have more digits than it keeps.

        Some are written with as many as tell doubles apart, or with 17.
        """
        text = spelled(identifier(name), contracts.Column(name, "double", ()), landing)
        cut = self._lake.value(
            "select count(*) from (select text, try_cast(text as double) as value from "
            f"(select trim({text}) as text from records)) where regexp_full_match(text, "
            f"{literal(_MANY_DIGITS)}) and text not in "
            "(value::varchar, printf('%.16g', value), printf('%.17g', value))"
        )
        return "varchar" if cut else "double"

    def _money(self, name: str, landing: Landing) -> str:
        """Return the decimal that an amount of money is, if it is one."""
        column = contracts.Column(name, "double", ())
        text = spelled(identifier(name), column, landing)
        decimals = f"length(regexp_extract({text}, '\\.(\\d+)$', 1))"
        least, most, digits, exponents, signs = self._lake.rows(
            f"select min({decimals}), max({decimals}), max(length({text})), "
            f"count(*) filter (contains(lower({text}), 'e')), "
            f"count(*) filter ({text} <> {identifier(name)} "
            f"and regexp_matches({identifier(name)}, '[$€£¥₹]')) from records"
        )[0]
        is_money = signs or _MONEY.fullmatch(name) or (least, most) == (2, 2)
        if not is_money or exponents or most > 4 or digits > 17:
            return ""
        return f"decimal(18, {max(2, most)})"

    def _no_values(self, kinds: dict[str, str]) -> tuple[str, ...]:
        """Return the texts for no value that stand in columns which are more than text."""
        typed = [identifier(name) for name, kind in kinds.items() if kind != "varchar"]
        if not typed:
            return ()
        listed = ", ".join(f"trim({name})" for name in typed)
        found = {
            value
            for (value,) in self._lake.rows(
                f"select distinct unnest(list_value({listed})) as value from records"
            )
        }
        return tuple(value for value in _NO_VALUE if value in found)

    def _column(self, name: str, kind: str, landing: Landing, notes: dict[str, str]) -> Column:
        text = spelled(identifier(name), contracts.Column(name, kind, ()), landing)
        least, most = RANGES.get(kind, ("null", "null"))
        missing, example, value, is_in_range = self._lake.rows(
            f"select count(*) - count({text}), min_by({identifier(name)}, (_file_no, _row)) "
            f"filter ({text} is not null), min_by({parse(text, kind)}::varchar, (_file_no, _row)), "
            f"coalesce(bool_and({parse(text, kind)} between {least} and {most}), false) "
            "from records"
        )[0]
        note = (notes.get(name) or self._why_text(name, landing)) if kind == "varchar" else ""
        return Column(name, kind, missing == 0, example, is_in_range, value=value, note=note)

    def _why_text(self, name: str, landing: Landing) -> str:
        """Return why a column of which most values are numbers is text."""
        text = spelled(identifier(name), contracts.Column(name, "double", ()), landing)
        value = parse(text, "double")
        count, numbers, codes, other = self._lake.rows(
            f"select count({text}), count({value}), count(*) filter (regexp_full_match("
            f"trim({text}), {literal(_NOT_MEANT['double'])})), "
            f"any_value({text}) filter ({text} is not null and {value} is null) from records"
        )[0]
        if not count or numbers < _MOSTLY * count:
            return ""
        if numbers < count:
            return f"{count - numbers:,} of {count:,} values are no numbers, as {other!r}"
        if codes:
            return "its numbers have leading zeros or a +, as codes have"
        return "its numbers have more digits than are kept exactly"


@cache
def _keywords() -> set[str]:
    return {name for (name,) in duckdb.execute(_KEYWORDS).fetchall()}
