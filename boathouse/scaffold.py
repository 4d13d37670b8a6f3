"""A new source from a sample file: its contract, a staging model, and a unit test to fill in.

The sample is read as the loader reads every file, and a column gets the narrowest type under
which the loader would accept all of its values: so the contract that is written here accepts the
sample.
"""

import json
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import duckdb

from boathouse.contracts import SOURCE_NAME, Contract, Format, Landing, load_contracts
from boathouse.errors import ContractError, UsageError
from boathouse.ingest.batch import PACKING_SUFFIXES, Batch, format_of
from boathouse.ingest.checks import parse
from boathouse.ingest.content import RefusedFileError, digest, unpack
from boathouse.ingest.deliveries import Delivery
from boathouse.ingest.header import split_header, start_of
from boathouse.lake import Lake
from boathouse.settings import Settings
from boathouse.sql import identifier, snake_case

DELIMITERS = (",", ";", "\t", "|")
_TYPES = ("bigint", "double", "date", "timestamp", "boolean", "json")
# Text that a type would take, but that most likely means something else.
_NOT_MEANT = {
    "bigint": r"[+-]?0\d+",  # 007 is a code
    "double": r"[+-]?0\d+(\.\d*)?|nan|inf.*",
    "boolean": r"[^tf].*|.",  # 1 and y
    "json": r"[^{\[].*",
}
_RANGES = {
    "timestamp": ("timestamp '2000-01-01'", "now()::timestamp + interval 1 day"),
    "date": ("date '2000-01-01'", "current_date + 1"),
}
_EVENT_TIME = re.compile(r"(.*_)?(at|time|timestamp|ts|date|day|on)")
_LONGEST_EXAMPLE = 60
_SYSTEM_COLUMNS = {
    "_load_id": ("bigint", "The load that brought the row; later loads have greater numbers."),
    "_file": ("varchar", "The file the row came in."),
    "_row": ("bigint", "The record's place in its file, from 1."),
    "_loaded_at": ("timestamp", "When the row was loaded (UTC)."),
}


@dataclass(frozen=True)
class Column:
    """What a sample tells about a column; `example` is its first value as text, if it has any."""

    name: str
    data_type: str
    is_required: bool
    example: str | None
    is_in_range: bool  # all times are from 2000 to now

    @property
    def staged(self) -> str:
        """Return its name in the staging model, where no name is an SQL keyword."""
        return f"{self.name}_value" if self.name in _keywords() else self.name


@dataclass(frozen=True)
class Scaffold:
    """A source that was set up: what was read, and the files that were written."""

    source: str
    domain: str
    rows: int
    columns: tuple[Column, ...]
    files: tuple[Path, ...]


def new_source(
    settings: Settings, sample: Path, *, domain: str | None = None, name: str | None = None
) -> Scaffold:
    """Write the contract, the staging model and its YAML of a source, and return what was done.

    Args:
        settings: Of the project to write into.
        sample: A file as they will be delivered.
        domain: The folder of models; by default the source's own name.
        name: The source's name; by default from the file's name, without dates and numbers.

    Raises:
        UsageError: the sample cannot be read, a name is not usable, or the source exists already.
    """
    source = name or source_name(sample)
    domain = domain or source
    for given in (source, domain):
        if not given or snake_case(given) != given or not given[0].isalpha():
            raise UsageError(
                f"{given!r} is no name for a source or domain.",
                hint="Give names of lower-case letters, digits and _ by --name and --domain.",
            )
    if source in load_contracts(settings.project):
        raise UsageError(
            f"There is a contract for {source} already.", hint="Give another name by --name."
        )
    landing, rows, columns = look_at(settings, sample)
    model = f"stg_{domain}__{source.removeprefix(f'{domain}_')}"
    folder = settings.project / "models" / "staging" / domain
    written = {
        folder / f"{model}.sql": _model(source, columns, landing),
        folder / f"{model}.yml": _model_yaml(model, source, columns, landing),
    }
    for path in written:
        if path.exists():
            raise UsageError(f"There is {path} already.", hint="Give another name by --name.")
    contract = folder / f"_{domain}__sources.yml"
    before = contract.read_text() if contract.exists() else None
    table = _contract(source, columns, landing)
    folder.mkdir(parents=True, exist_ok=True)
    contract.write_text(
        f"{before.rstrip()}\n\n{table}" if before else f"{_SOURCES_HEAD}{table}", encoding="utf-8"
    )
    try:
        is_known = source in load_contracts(settings.project)
    except ContractError:
        is_known = False
    if not is_known:
        contract.unlink() if before is None else contract.write_text(before)
        raise UsageError(
            f"The contract cannot be added to {contract}: its last entry is not a table.",
            hint="Move its tables to the end, or give another --domain.",
        )
    for path, text in written.items():
        path.write_text(text, encoding="utf-8")
    return Scaffold(source, domain, rows, tuple(columns), (contract, *written))


def source_name(sample: Path) -> str:
    """Return a source's name from a file's: `orders_2024-01-31.csv.gz` → `orders`."""
    return snake_case(re.sub(r"\d+", " ", _unpacked(sample).stem))


def file_pattern(sample: Path) -> str:
    """Return the pattern of files like this one: `orders_2024-01-31.csv.gz` → `orders*.csv*`."""
    name = _unpacked(sample)
    start = re.sub(r"[\[\]*?]", "?", re.split(r"[\W_]*\d", name.stem)[0])
    return f"{start}*{name.suffix}*"


def _unpacked(sample: Path) -> Path:
    """Return the name without the ending of its packing."""
    return Path(sample.stem if sample.suffix.lower() in PACKING_SUFFIXES else sample.name)


# -- looking -------------------------------------------------------------------------------


def look_at(settings: Settings, sample: Path) -> tuple[Landing, int, list[Column]]:
    """Return how files like this one land, how many records it has, and what its columns are.

    Raises:
        UsageError: it cannot be read, or there is no record in it.
    """
    if not sample.is_file():
        raise UsageError(f"There is no file {sample}.", hint="Give the path of a sample file.")
    stat = sample.stat()
    file = Delivery("sample", sample, sample.name, stat.st_size, stat.st_mtime_ns)
    with (
        tempfile.TemporaryDirectory(prefix="boathouse-sample-") as work,
        duckdb.connect() as con,
    ):
        con.execute("set timezone = 'UTC'")
        con.execute("attach ':memory:' as lake")
        con.execute("create schema lake.raw")
        con.execute("create table lake.raw.sample (_file varchar)")
        try:
            landing = _landing(file, settings, Path(work))
        except RefusedFileError as error:
            raise UsageError(f"{sample}: {error}.", hint="Give another sample file.") from error
        contract = Contract("sample", "sample", sample, landing, (), None)
        batch = Batch(Lake(con), contract, settings, Path(work))
        batch.add(file, digest(file), [], is_redelivery=False)
        batch.parse()
        if not batch.loaded:
            raise UsageError(f"{sample}: {batch.outcomes[0].reason}.", hint="Mend the file.")
        rows = int(batch.lake.value("select count(*) from records"))
        names = [name for name, *_ in batch.lake.rows("describe records") if name[0] != "_"]
        if not rows or not names:
            raise UsageError(
                f"{sample} has no record to learn from.", hint="Give a sample with records."
            )
        columns = [_column(batch.lake, name) for name in names]
    is_json = landing.format[0] in ("json", "jsonl")
    update = {"files": (file_pattern(sample),), "new_columns": "rescue" if is_json else "reject"}
    return landing.model_copy(update=update), rows, columns


def _landing(file: Delivery, settings: Settings, work: Path) -> Landing:
    kind = format_of(file.name, get_args(Format))
    delimiter = ","
    if kind == "csv":
        part = next(iter(unpack(file, settings, work, is_workbook=False)))
        start = start_of(part)
        counts = {each: len(split_header(start, each)[0]) for each in DELIMITERS}
        delimiter = max(counts, key=lambda each: counts[each])
    return Landing(files=("*",), format=(kind,), delimiter=(delimiter,), new_columns="add")


def _column(lake: Lake, name: str) -> Column:
    text = identifier(name)
    rejects = [
        f"count(*) filter ({text} is not null and ({parse(text, kind)} is null "
        f"or regexp_full_match(lower(trim({text})), '{_NOT_MEANT.get(kind, '')}')))"
        for kind in _TYPES
    ]
    missing, example, *unfit = lake.rows(
        f"select count(*) - count({text}), min_by({text}, _row), {', '.join(rejects)} from records"
    )[0]
    fitting = [kind for kind, count in zip(_TYPES, unfit, strict=True) if count == 0]
    kind = fitting[0] if fitting and example is not None else "varchar"
    least, most = _RANGES.get(kind, ("null", "null"))
    is_in_range = lake.value(
        f"select coalesce(bool_and({parse(text, kind)} between {least} and {most}), false) "
        "from records"
    )
    return Column(name, kind, missing == 0, example, is_in_range)


def _keywords() -> set[str]:
    rows = duckdb.execute(
        "select keyword_name from duckdb_keywords() where keyword_category != 'unreserved'"
    ).fetchall()
    return {name for (name,) in rows}


# -- writing -------------------------------------------------------------------------------

_SOURCES_HEAD = f"""\
sources:
  - name: {SOURCE_NAME}
    schema: {SOURCE_NAME}
    tables:
"""


def _contract(source: str, columns: list[Column], landing: Landing) -> str:
    event_time, delimiter = _event_time(columns), json.dumps(landing.delimiter[0])
    lines = [
        f"      - name: {source}",
        f"        description: One row per record of the files `{landing.files[0]}`, as delivered.",
        "        config:",
        *([f"          event_time: {event_time.name}"] if event_time else []),
        "          loaded_at_field: _loaded_at",
        "          freshness:",
        "            # How often files come, and some grace.",
        "            warn_after: {count: 2, period: day}",
        "          meta:",
        "            landing:",
        f"              files: [{json.dumps(landing.files[0])}]",
        f"              format: {landing.format[0]}",
        *([f"              delimiter: {delimiter}"] if "csv" in landing.format else []),
        f"              new_columns: {landing.new_columns}",
        "              bad_rows: quarantine",
        "              redelivery: replace",
        "        data_tests:",
        f"          - reconciles_with_ledger: {{arguments: {{source_name: {source}}}}}",
        "        columns:",
    ]
    for column in columns:
        lines += [
            f"          - name: {column.name}",
            f"            data_type: {column.data_type}",
            *(["            quote: true"] if column.staged != column.name else []),
            f"            description: {_description(column)}",
        ]
        tests = ["              - not_null"] if column.is_required else []
        if column == event_time and column.is_in_range:
            least, most = _RANGES[column.data_type]
            tests += [
                "              - accepted_range:",
                "                  arguments:",
                f"                    min_value: {json.dumps(least)}",
                f"                    max_value: {json.dumps(most)}",
            ]
        lines += ["            data_tests:", *tests] if tests else []
    return "\n".join(lines) + "\n"


def _event_time(columns: list[Column]) -> Column | None:
    """Return the column that most likely says when it happened."""
    times = [c for c in columns if c.data_type in _RANGES]
    return max(
        times,
        key=lambda c: (
            c.is_required,
            c.data_type == "timestamp",
            bool(_EVENT_TIME.fullmatch(c.name)),
            -columns.index(c),
        ),
        default=None,
    )


def _description(column: Column) -> str:
    if column.example is None:
        return "Empty in the sample file."
    example = " ".join(column.example.split())
    if len(example) > _LONGEST_EXAMPLE:
        example = f"{example[:_LONGEST_EXAMPLE]}…"
    return json.dumps(f"As delivered, for example {example}.", ensure_ascii=False)


def _model(source: str, columns: list[Column], landing: Landing) -> str:
    listed = [f"{c.name}," for c in columns if c.staged == c.name]
    if quoted := [c for c in columns if c.staged != c.name]:
        # The linter does not know all of DuckDB's keywords.
        listed += ["-- Keywords, which need their quotes."]
        listed += [f'"{c.name}" as {c.staged},  -- noqa: RF06' for c in quoted]
    listed += ["_extra,"] if landing.new_columns == "rescue" else []
    listed += [f"{name}," for name in _SYSTEM_COLUMNS]
    selected = "\n".join(f"    {line}" for line in listed).removesuffix(",")
    return (
        "with\n\n"
        f"source as (\n    select * from {{{{ source('{SOURCE_NAME}', '{source}') }}}}\n)\n\n"
        f"select\n{selected}\nfrom source\n"
    )


def _model_yaml(model: str, source: str, columns: list[Column], landing: Landing) -> str:
    lines = [
        "models:",
        f"  - name: {model}",
        f"    description: One row per record of {source}, as delivered.",
        "    columns:",
    ]
    described = {c.staged: (c.data_type, _description(c)) for c in columns}
    if landing.new_columns == "rescue":
        described["_extra"] = ("json", "What else the record had, as one JSON object.")
    for name, (kind, description) in (described | _SYSTEM_COLUMNS).items():
        lines += [
            f"      - name: {name}",
            f"        data_type: {kind}",
            f"        description: {description}",
        ]
    given, expected = _example_rows(columns)
    lines += [
        "",
        "unit_tests:",
        "  # Fill in: a row for every rule of this model, and a name that says the rule.",
        f"  - name: {model}_keeps_a_record_as_delivered",
        f"    model: {model}",
        "    given:",
        f"      - input: source('{SOURCE_NAME}', '{source}')",
        "        rows:",
        f"          - {given}",
        "    expect:",
        "      rows:",
        f"        - {expected}",
    ]
    return "\n".join(lines) + "\n"


def _example_rows(columns: list[Column]) -> tuple[str, str]:
    """Return the first values of a few columns as YAML, under the raw and the staged names."""
    plain = [
        column
        for column in columns
        if column.example is not None
        and column.staged == column.name
        and column.data_type != "json"
        and re.fullmatch(r"[\w .:+/-]{1,60}", column.example)
    ][:5]
    given: dict[str, Any] = {column.name: column.example for column in plain}
    expected = {column.staged: column.example for column in plain}
    return json.dumps(given, ensure_ascii=False), json.dumps(expected, ensure_ascii=False)
