"""A new source from a sample file: its contract, a staging model, and a unit test to fill in."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from boathouse.contracts import SOURCE_NAME, Landing, load_contracts
from boathouse.errors import ContractError, UsageError
from boathouse.ingest.reading import PACKING_SUFFIXES
from boathouse.sample import RANGES, Column, look_at
from boathouse.settings import Settings
from boathouse.sql import identifier, snake_case

_EVENT_TIME = re.compile(r"(.*_)?(at|time|timestamp|ts|date|day|on)")
_LONGEST_EXAMPLE = 60
_DIALECT = (
    *("encoding", "null_values", "decimal", "thousands", "strip"),
    *("date_formats", "timestamp_formats", "records"),
)
_SYSTEM_COLUMNS = {
    "_load_id": ("bigint", "The load that brought the row; later loads have greater numbers."),
    "_file": ("varchar", "The file the row came in."),
    "_row": ("bigint", "The record's place in its file, from 1."),
    "_loaded_at": ("timestamp", "When the row was loaded (UTC)."),
}


@dataclass(frozen=True)
class Scaffold:
    """A source that was set up: what was read, and the files that were written."""

    source: str
    domain: str
    model: str
    rows: int
    columns: tuple[Column, ...]
    samples: tuple[Path, ...]
    files: tuple[Path, ...]


def new_source(
    settings: Settings,
    samples: Sequence[Path],
    *,
    domain: str | None = None,
    name: str | None = None,
) -> Scaffold:
    """Write the contract, the staging model and its YAML of a source, and return what was done.

    Args:
        settings: Of the project to write into.
        samples: Files as they will be delivered.
        domain: The folder of models; by default the source's own name.
        name: The source's name; by default from the file's name, without dates and numbers.

    Raises:
        UsageError: the sample cannot be read, a name is not usable, or the source exists already.
    """
    source = name or source_name(samples[0])
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
    landing, rows, columns = look_at(settings, samples)
    is_json = landing.format[0] in ("json", "jsonl")
    patterns = tuple(dict.fromkeys(file_pattern(sample) for sample in samples))
    update = {"files": patterns, "new_columns": "rescue" if is_json else "reject"}
    landing = landing.model_copy(update=update)
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
    return Scaffold(
        source, domain, model, rows, tuple(columns), tuple(samples), (contract, *written)
    )


def new_sources(
    settings: Settings,
    samples: Sequence[Path],
    *,
    domain: str | None = None,
    name: str | None = None,
) -> tuple[list[Scaffold], list[UsageError]]:
    """Set up a source for each name that samples have; return what was done, and what could not be.

    With `name`, all are samples of one source. Files of one name and different formats are sources
    of their own.
    """
    groups: dict[str, list[Path]] = {}
    for sample in samples:
        source = name or source_name(sample)
        kind = _unpacked(sample).suffix
        if source in groups and not name and _unpacked(groups[source][0]).suffix != kind:
            source = f"{source}_{kind[1:].lower()}"
        groups.setdefault(source, []).append(sample)
    made, refused = [], []
    for source, group in groups.items():
        try:
            made.append(new_source(settings, group, domain=domain, name=source))
        except UsageError as error:
            refused.append(error)
    return made, refused


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
        *([f"          event_time: {_plain_yaml(event_time.name)}"] if event_time else []),
        "          loaded_at_field: _loaded_at",
        "          freshness:",
        "            # How often files come, and some grace.",
        "            warn_after: {count: 2, period: day}",
        "          meta:",
        "            landing:",
        f"              files: {json.dumps(landing.files, ensure_ascii=False)}",
        f"              format: {landing.format[0]}",
        *([f"              delimiter: {delimiter}"] if "csv" in landing.format else []),
        *_dialect(landing),
        f"              new_columns: {landing.new_columns}",
        "              bad_rows: quarantine",
        "              redelivery: replace",
        "        data_tests:",
        f"          - reconciles_with_ledger: {{arguments: {{source_name: {source}}}}}",
        "        columns:",
    ]
    for column in columns:
        lines += [
            f"          - name: {_plain_yaml(column.name)}",
            f"            data_type: {column.data_type}",
            *(["            quote: true"] if column.needs_quotes else []),
            f"            description: {_description(column)}",
            *_from(column),
        ]
        tests = ["              - not_null"] if column.is_required else []
        if column == event_time and column.is_in_range:
            least, most = RANGES[column.data_type]
            tests += [
                "              - accepted_range:",
                "                  arguments:",
                f"                    min_value: {json.dumps(least)}",
                f"                    max_value: {json.dumps(most)}",
            ]
        lines += ["            data_tests:", *tests] if tests else []
    return "\n".join(lines) + "\n"


def _dialect(landing: Landing) -> list[str]:
    """Return the lines that say how files are written, where that is not the usual way."""
    usual = Landing(files=landing.files, format=landing.format)
    return [
        f"              {key}: {json.dumps(getattr(landing, key), ensure_ascii=False)}"
        for key in _DIALECT
        if getattr(landing, key) != getattr(usual, key)
    ]


def _from(column: Column) -> list[str]:
    """Return the lines that say what files call a column, if its name does not."""
    header = json.dumps(column.header, ensure_ascii=False)
    if column.position:
        named = f"header: {header}, " if column.header else ""
        return [f"            config: {{meta: {{from: {{{named}position: {column.position}}}}}}}"]
    return [f"            config: {{meta: {{from: {header}}}}}"] if column.header else []


def _plain_yaml(name: str) -> str:
    """Return a name as YAML, which takes `on` for true and `1960` for a number."""
    return name if yaml.safe_load(name) == name else json.dumps(name, ensure_ascii=False)


def _event_time(columns: list[Column]) -> Column | None:
    """Return the column that most likely says when it happened."""
    times = [c for c in columns if c.data_type in RANGES]
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
    note = f" Text, as {column.note}." if column.note else ""
    example = " ".join(column.example.split())
    if len(example) > _LONGEST_EXAMPLE:
        example = f"{example[:_LONGEST_EXAMPLE]}…"
    return json.dumps(f"As delivered, for example {example}.{note}", ensure_ascii=False)


def _model(source: str, columns: list[Column], landing: Landing) -> str:
    listed = [f"{c.name}," for c in columns if not c.needs_quotes]
    if quoted := [c for c in columns if c.needs_quotes]:
        # The linter does not know all of DuckDB's keywords.
        listed += ["-- Names that need their quotes."]
        listed += [
            f"{identifier(c.name)}{f' as {c.staged}' if c.staged != c.name else ''},  -- noqa: RF06"
            for c in quoted
        ]
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
            f"      - name: {_plain_yaml(name)}",
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
        if column.value is not None
        and column.staged == column.name
        and column.data_type != "json"
        and re.fullmatch(r"[\w .:+/-]{1,60}", column.value)
    ][:5]
    given: dict[str, Any] = {column.name: column.value for column in plain}
    expected = {column.staged: column.value for column in plain}
    return json.dumps(given, ensure_ascii=False), json.dumps(expected, ensure_ascii=False)
