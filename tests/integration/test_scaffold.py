"""A source set up from a sample file works as it is: it loads the sample, builds and lints."""

import csv
import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any, NamedTuple

import duckdb
import pytest
from houses import SHARED_DATA
from support import forked
from support.command import PATIENCE_SECONDS
from support.homes import REPOSITORY, copy_project, include_unit_tests
from support.shared import made_once

from boathouse import lake
from boathouse.build import BuildReport, run_build
from boathouse.contracts import Landing, load_contracts
from boathouse.errors import UsageError
from boathouse.ingest.loader import load
from boathouse.ingest.report import LoadReport
from boathouse.sample import look_at
from boathouse.scaffold import Scaffold, file_pattern, new_source, new_sources, source_name
from boathouse.settings import Settings
from boathouse.sql import path_literal
from boathouse.trial import try_out


def in_folder(folder: Path) -> Settings:
    """Return settings for a project without sources, whose unit tests run and which lints."""
    project = copy_project(folder / "project", [])
    include_unit_tests(project)
    shutil.copy(REPOSITORY / ".sqlfluff", project)
    return Settings(project=project, home=folder / "home", settle_seconds=0)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return in_folder(tmp_path)


def land(settings: Settings, source: str, path: Path) -> None:
    """Put a copy of a file into landing."""
    folder = settings.landing_folder / source
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(path, folder)


def kinds(settings: Settings, path: Path, content: str) -> dict[str, str]:
    """Return what is written about each column of a file."""
    path.write_text(content)
    _, _, columns = look_at(settings, [path])
    return {c.name: c.data_type + ("!" if c.is_required else "") for c in columns}


HEADERS = [
    "", "2013_pop", "On", "No", "1960", "1e3", "2024-01-01", "a,b", "Last, First", "x", "x", "X",
    "Row ID", "rowid", "select", "größe", "_row", "say \"hi\"", "it's", "{x}", "null", "#", "a: b",
]  # fmt: skip
VALUES = tuple(f"v{number}" for number in range(len(HEADERS)))
REAL = {
    "student_mat": ("students/student-mat.csv", 395),
    "customer_courier_chat_messages": ("courier/customer_courier_chat_messages.json", 2500),
}


def samples(folder: Path) -> dict[str, tuple[Path, int]]:
    """Return sample files of every kind by the source they make, and their numbers of records."""
    shapes = folder / "odd shapes_2026-01-31.jsonl"
    records: list[dict[str, Any]] = [
        {"Order": 1, "group": "it's", "at": "2026-01-31T10:00:00+01:00", "nested": {"a": [1]}},
        {"Order": 2, "group": None, "at": "2026-01-31 09:00:00", "date": "2026-01-31"},
    ]
    shapes.write_text("".join(json.dumps(record) + "\n" for record in records))
    table = folder / "measures.parquet"
    duckdb.execute(
        'copy (select 1 as id, 2.5 as "select", \'x: {y}\' as "from", null as nothing, '
        f"timestamp '1970-01-01' as at) to {path_literal(table)} (format parquet)"
    )
    found = {"odd_shapes": (shapes, 2), "measures": (table, 1)}
    for source, delimiter in (("odd_commas", ","), ("odd_semicolons", ";")):
        path = folder / f"{source}.csv"
        with path.open("w", newline="") as file:
            csv.writer(file, delimiter=delimiter).writerows([HEADERS, VALUES])
        found[source] = (path, 1)
    real = {source: (SHARED_DATA / name, rows) for source, (name, rows) in REAL.items()}
    return found | {source: (path, rows) for source, (path, rows) in real.items() if path.exists()}


class Built(NamedTuple):
    """Sources set up from samples, after their samples were loaded and built."""

    settings: Settings
    rows: dict[str, int]  # of the samples
    made: dict[str, Scaffold]
    report: LoadReport
    build: BuildReport


@pytest.fixture(scope="module")
def built(request: pytest.FixtureRequest) -> Built:
    return made_once(request, "scaffold", _build)


def _build(folder: Path) -> Built:
    settings = in_folder(folder)
    found = samples(folder)
    made = {}
    for source, (path, _) in found.items():
        domain = "odd" if source.startswith("odd") else "shop"
        made[source] = new_source(settings, [path], domain=domain)
        land(settings, source, path)
    report = load(settings, load_contracts(settings.project))
    rows = {source: count for source, (_, count) in found.items()}
    return Built(settings, rows, made, report, run_build(settings))


def test_sources_set_up_from_samples_load_and_build(built: Built) -> None:
    if not built.rows.keys() >= REAL.keys():
        pytest.skip(f"{SHARED_DATA} is not there; set BOATHOUSE_SHARED_DATA")
    assert {source: (made.source, made.rows) for source, made in built.made.items()} == {
        source: (source, rows) for source, rows in built.rows.items()
    }
    counts = {s: (c.rows_loaded, c.rows_rejected) for s, c in built.report.sources.items()}
    assert counts == {source: (rows, 0) for source, rows in built.rows.items()}
    built.build.require_green()
    assert sum(result.kind == "unit_test" for result in built.build.results) == len(built.rows)
    with lake.connect(built.settings, read_only=True) as opened:
        assert opened.rows("select order_value, at_value from lake.staging.stg_odd__shapes") != []


@pytest.mark.parametrize("source", ["odd_commas", "odd_semicolons"])
def test_whatever_columns_are_called_staging_has_their_values(built: Built, source: str) -> None:
    counts = built.report.sources[source]
    assert (counts.rows_loaded, built.report.problems) == (1, [])
    built.build.require_green()
    made = built.made[source]
    staged = ", ".join(f't."{column.staged}"' for column in made.columns)
    with lake.connect(built.settings, read_only=True) as opened:
        assert opened.rows(f"select {staged} from lake.staging.{made.model} as t") == [VALUES]


def test_what_is_written_from_samples_lints(built: Built) -> None:
    linted = forked.run(
        [str(Path(sys.executable).with_name("sqlfluff")), "lint", "models"],
        cwd=built.settings.project,
        env={**os.environ, "BOATHOUSE_HOME": str(built.settings.home)},
        timeout=PATIENCE_SECONDS,
    )
    assert linted.returncode == 0, linted.stdout


GERMAN = """\
Straße;Preis;Anteil;Tag
Hauptstraße;1.234,50 €;0,125;31.12.2024
x;3,00 €;1,5;1.1.2025
"""
# A sample, how it is said to be written, and its columns.
WRITTEN: dict[str, tuple[bytes, dict[str, Any], dict[str, str]]] = {
    "na": (
        b"a,b,c\n1,x,NA\nNA,y,2.5\n",
        {"null_values": ["NA"]},
        {"a": "bigint", "b": "varchar!", "c": "double"},
    ),
    "na in text alone": (b"a,b\n1,NA\n2,x\n", {}, {"a": "bigint!", "b": "varchar!"}),
    "american": (
        b'item,price,share\nx,"$1,234.50",12 %\ny,"-$3.00",7%\n',
        {"thousands": ",", "strip": ["$", "%"]},
        {"item": "varchar!", "price": "decimal(18, 2)!", "share": "bigint!"},
    ),
    "german": (
        GERMAN.encode("cp1252"),
        {
            "encoding": "cp1252",
            "delimiter": ";",
            "decimal": ",",
            "thousands": ".",
            "strip": ["€"],
            "date_formats": ["%d.%m.%Y"],
        },
        {"straße": "varchar!", "preis": "decimal(18, 2)!", "anteil": "double!", "tag": "date!"},
    ),
    "day first": (
        b"id,on_day,seen\n1,31/12/2024,31/12/2024 10:30\n2,01/02/2025,01/02/2025 09:00\n",
        {"date_formats": ["%d/%m/%Y"], "timestamp_formats": ["%d/%m/%Y %H:%M"]},
        {"id": "bigint!", "on_day": "date!", "seen": "timestamp!"},
    ),
    "month first": (
        b"id,on_day\n1,12/31/2024\n2,01/02/2025\n",
        {"date_formats": ["%m/%d/%Y"]},
        {"id": "bigint!", "on_day": "date!"},
    ),
    "nobody knows": (b"id,on_day\n1,02/03/2024\n", {}, {"id": "bigint!", "on_day": "varchar!"}),
    "codes": (
        b"iccid,zip,phone,id\n89490200001234567890,01234,+491234,7\n89490200001234567891,99999,+4930,8\n",
        {},
        {"iccid": "varchar!", "zip": "varchar!", "phone": "varchar!", "id": "bigint!"},
    ),
    "digits": (
        b"a,b\n1234567890.1234567890,1.5\n2.5,2.25\n",
        {},
        {"a": "varchar!", "b": "double!"},
    ),
    "index": (b",a\n0,x\n1,y\n", {}, {"column_1": "bigint!", "a": "varchar!"}),
    "years": (
        b"country,1960,2014_pop\nAruba,54211,103795\nChina,,1371860000\n",
        {},
        {"country": "varchar!", "1960": "bigint", "2014_pop": "bigint!"},
    ),
    "tabs": (
        b"a\tb\n1\t1 000\n2\t20 000\n",
        {"delimiter": "\t", "thousands": " "},
        {"a": "bigint!", "b": "bigint!"},
    ),
    "utf-16": (
        "a,b\n1,ü\n".encode("utf-16"),
        {"encoding": "utf-16"},
        {"a": "bigint!", "b": "varchar!"},
    ),
    "empty": (b"a,b\n1,\n2,\n", {}, {"a": "bigint!", "b": "varchar"}),
}  # fmt: skip


@pytest.mark.parametrize("case", WRITTEN)
def test_how_a_sample_is_written_is_found_out(
    settings: Settings, tmp_path: Path, case: str
) -> None:
    content, dialect, expected = WRITTEN[case]
    path = tmp_path / "things.csv"
    path.write_bytes(content)
    made = new_source(settings, [path])
    found = {c.name: c.data_type + ("!" if c.is_required else "") for c in made.columns}
    contract = load_contracts(settings.project)["things"]
    said = {key: getattr(contract.landing, key) for key in dialect}
    as_said = {
        key: tuple(v) if isinstance(v, list) or key == "delimiter" else v
        for key, v in dialect.items()
    }
    usual = Landing(files=contract.landing.files, format="csv")
    others = {
        key
        for key in ("encoding", "null_values", "decimal", "thousands", "strip", "date_formats")
        if key not in dialect and getattr(contract.landing, key) != getattr(usual, key)
    }
    assert (found, said, others) == (expected, as_said, set())
    land(settings, "things", path)
    report = load(settings, load_contracts(settings.project))
    assert (report.sources["things"].rows_loaded, report.problems) == (made.rows, [])


def test_several_samples_make_a_source_for_each_name(settings: Settings, tmp_path: Path) -> None:
    contents = {
        "orders_2026-01.csv": "id,on_day\n1,01/02/2026\n",
        "orders_2026-02.csv": "id,on_day\n2.5,13/02/2026\n",
        "shops.csv": "id,name\n1,x\n",
    }
    for name, content in contents.items():
        (tmp_path / name).write_text(content)
    made, _ = new_sources(settings, [tmp_path / name for name in contents], domain="shop")
    found = {each.source: {c.name: c.data_type for c in each.columns} for each in made}
    assert found == {
        "orders": {"id": "double", "on_day": "date"},
        "shops": {"id": "bigint", "name": "varchar"},
    }
    for name in contents:
        land(settings, source_name(tmp_path / name), tmp_path / name)
    report = load(settings, load_contracts(settings.project))
    assert {n: s.rows_loaded for n, s in report.sources.items()} == {"orders": 2, "shops": 1}


def test_a_column_that_could_not_be_typed_says_why(settings: Settings, tmp_path: Path) -> None:
    path = tmp_path / "things.csv"
    path.write_bytes(WRITTEN["nobody knows"][0])
    made = new_source(settings, [path])
    note = "its days may be %d/%m/%Y or %m/%d/%Y: say which in `date_formats`"
    assert [column.note for column in made.columns] == ["", note]
    assert note in made.files[0].read_text()


def test_a_column_gets_the_narrowest_type_that_takes_all_its_values(
    settings: Settings, tmp_path: Path
) -> None:
    content = (
        "n,x,code,day,at,yes,word,gap,none\n"
        "1,1.5,007,2026-01-31,2026-01-31T10:00:00Z,true,a,1,\n"
        "-2,3,010,2026-02-01,2026-02-01 10:00,FALSE,2,,\n"
    )
    assert kinds(settings, tmp_path / "a.csv", content) == {
        "n": "bigint!",
        "x": "double!",
        "code": "varchar!",
        "day": "date!",
        "at": "timestamp!",
        "yes": "boolean!",
        "word": "varchar!",
        "gap": "bigint",
        "none": "varchar",
    }


def test_a_value_after_the_first_thousand_counts(settings: Settings, tmp_path: Path) -> None:
    lines = [f"{n},{n % 12 + 1}/{n % 12 + 1}/2024,{n}\n" for n in range(1000)]
    content = f"n,day,code\n{''.join(lines)}1,31/12/2024,n.d.\n"
    assert kinds(settings, tmp_path / "a.csv", content) == {
        "n": "bigint!",
        "day": "date!",
        "code": "varchar!",
    }


@pytest.mark.parametrize("delimiter", [";", "\t", "|"])
def test_the_delimiter_is_found(settings: Settings, tmp_path: Path, delimiter: str) -> None:
    content = f'"a, b"{delimiter}c\n"x, y"{delimiter}2\n'
    assert kinds(settings, tmp_path / "a.csv", content) == {"a_b": "varchar!", "c": "bigint!"}


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("a.tsv", "id\tname\n1\tx\n", {"id": "bigint!", "name": "varchar!"}),
        ("a.txt", "id time\n1 0.5\n2 1.5\n", {"id": "bigint!", "time": "double!"}),
        ("a.csv", "full name\nAnn Smith\nBob\n", {"full_name": "varchar!"}),
        ("a.geojson", '{"type": "x", "features": [{"id": 1}, {"id": 2}]}', {"id": "bigint!"}),
        ("a.json", '{"a": [{"id": 1}], "b": [{"id": 2}]}', {"a": "json!", "b": "json!"}),
        ("a.csv", "at\n2010/01/01 01:00\n2010/12/31 02:00\n", {"at": "timestamp!"}),
        ("a.csv", "on\nJan 1 2000\nFeb 28 2001\n", {"on": "date!"}),
        ("a.csv", "x\n45.471548505146174\n0.30000000000000004\n", {"x": "double!"}),
        ("a.csv", "x\n48.053808600000004\n8.3945900000000009\n", {"x": "double!"}),
    ],
)
def test_files_of_all_kinds_are_known(
    settings: Settings, tmp_path: Path, name: str, content: str, expected: dict[str, str]
) -> None:
    path = tmp_path / name
    assert kinds(settings, path, content) == expected
    made = new_source(settings, [path], name="things")
    land(settings, "things", path)
    report = load(settings, load_contracts(settings.project))
    assert (report.problems, report.sources["things"].rows_loaded) == ([], made.rows)


def test_one_sample_that_cannot_be_read_does_not_stop_the_others(
    settings: Settings, tmp_path: Path
) -> None:
    contents = {"a.csv": "id\n1\n", "b.csv": "", "a.json": '[{"n": 1}]', "c.csv": "id\n1\n"}
    for name, content in contents.items():
        (tmp_path / name).write_text(content)
    made, refused = new_sources(settings, [tmp_path / name for name in contents], domain="shop")
    assert [each.source for each in made] == ["a", "a_json", "c"]
    assert [str(error).partition(":")[0] for error in refused] == [str(tmp_path / "b.csv")]


@pytest.mark.parametrize(
    ("values", "note"),
    [
        (["0.1000000000000000055", "1.5"], "its numbers have more digits than are kept exactly"),
        (["12345678901234567890.5"], "its numbers have more digits than are kept exactly"),
        (["007", "8"], "its numbers have leading zeros or a +, as codes have"),
        ([*map(str, range(19)), "n.d."], "1 of 20 values are no numbers, as 'n.d.'"),
        (["1", "x"], ""),
    ],
)
def test_why_numbers_are_text_is_said(
    settings: Settings, tmp_path: Path, values: list[str], note: str
) -> None:
    path = tmp_path / "a.csv"
    path.write_text("\n".join(["x", *values]))
    _, _, (column,) = look_at(settings, [path])
    assert (column.data_type, column.note) == ("varchar", note)


@pytest.mark.parametrize(
    ("name", "source", "pattern"),
    [
        ("orders_2024-01-31.csv.gz", "orders", "orders*.csv*"),
        ("student-mat.csv", "student_mat", "student-mat*.csv*"),
        ("GameEvents.1.jsonl", "game_events", "GameEvents*.jsonl*"),
        ("2024 sales.parquet", "sales", "*.parquet*"),
    ],
)
def test_names_follow_from_the_files_name(name: str, source: str, pattern: str) -> None:
    assert (source_name(Path(name)), file_pattern(Path(name))) == (source, pattern)


@pytest.mark.parametrize(
    ("name", "content", "telling"),
    [
        ("a.csv", "", "the file is empty"),
        ("a.csv", "id,name\n", "no record to learn from"),
        ("a.log", "id\n1\n", "its name does not say which of the formats"),
        ("a.json", "[{]", "it is not valid JSON"),
        ("1.csv", "id\n1\n", "is no name for a source"),
    ],
)
def test_a_sample_that_tells_nothing_is_an_error_and_writes_nothing(
    settings: Settings, tmp_path: Path, name: str, content: str, telling: str
) -> None:
    before = sorted(settings.project.rglob("*"))
    (tmp_path / name).write_text(content)
    with pytest.raises(UsageError, match=telling):
        new_source(settings, [tmp_path / name])
    assert sorted(settings.project.rglob("*")) == before


def test_a_source_is_never_overwritten(settings: Settings, tmp_path: Path) -> None:
    sample = tmp_path / "a.csv"
    sample.write_text("id\n1\n")
    new_source(settings, [sample], domain="shop")
    with pytest.raises(UsageError, match="There is a contract for a already"):
        new_source(settings, [sample], domain="shop")
    new_source(settings, [sample], domain="shop", name="b")
    assert set(load_contracts(settings.project)) == {"a", "b"}


def test_samples_are_tried_and_staging_is_compared_with_raw(
    settings: Settings, tmp_path: Path
) -> None:
    samples = []
    for name in ("good", "bent", "strict"):
        samples.append(tmp_path / f"{name}.csv")
        samples[-1].write_text("id,On,1960\n1,x,\n2,y,7\n2,y,7\n")
    made, _ = new_sources(settings, samples, domain="shop")
    tried = try_out(settings, made)
    assert (tried.problems, tried.rows_loaded) == ((), {"good": 3, "bent": 3, "strict": 3})
    assert tried.tests == 3 * 4, "a unit test, the ledger, and two required columns of each"
    model = settings.project / "models" / "staging" / "shop" / "stg_shop__bent.sql"
    model.write_text(model.read_text().replace("    id,", "    id + 1 as id,"))
    tried = try_out(settings, made[1:2])
    assert "unit test stg_shop__bent_keeps_a_record_as_delivered" in str(tried.problems)
    yaml = model.with_suffix(".yml")
    yaml.write_text(yaml.read_text().partition("unit_tests:")[0])
    contract = model.with_name("_shop__sources.yml")
    others, name, strict = contract.read_text().partition("name: strict")
    strict = strict.replace('"1960"', '"1960"\n            data_tests: [not_null]')
    contract.write_text(others + name + strict)
    tried = try_out(settings, made[1:])
    assert tried.rows_loaded == {"bent": 3, "strict": 2}
    rejected, differing = tried.problems
    assert "strict.csv: 1 of 3 rows rejected" in rejected
    assert differing == "stg_shop__bent and raw differ in 6 rows"
