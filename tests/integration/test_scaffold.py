"""A source set up from a sample file works as it is: it loads the sample, builds and lints."""

import csv
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import duckdb
import pytest
from houses import SHARED_DATA
from support.homes import REPOSITORY, copy_project, include_unit_tests

from boathouse import lake
from boathouse.build import run_build
from boathouse.contracts import Landing, load_contracts
from boathouse.errors import UsageError
from boathouse.ingest.loader import load
from boathouse.sample import look_at
from boathouse.scaffold import file_pattern, new_source, new_sources, source_name
from boathouse.settings import Settings
from boathouse.sql import path_literal
from boathouse.trial import try_out


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    project = copy_project(tmp_path / "project", [])
    include_unit_tests(project)
    shutil.copy(REPOSITORY / ".sqlfluff", project)
    return Settings(project=project, home=tmp_path / "home", settle_seconds=0)


def kinds(settings: Settings, path: Path, content: str) -> dict[str, str]:
    """Return what is written about each column of a file."""
    path.write_text(content)
    _, _, columns = look_at(settings, [path])
    return {c.name: c.data_type + ("!" if c.is_required else "") for c in columns}


def samples(folder: Path) -> dict[str, tuple[Path, int]]:
    """Return sample files of every kind by the source they make, and their numbers of records."""
    odd = folder / "odd shapes_2026-01-31.jsonl"
    records: list[dict[str, Any]] = [
        {"Order": 1, "group": "it's", "at": "2026-01-31T10:00:00+01:00", "nested": {"a": [1]}},
        {"Order": 2, "group": None, "at": "2026-01-31 09:00:00", "date": "2026-01-31"},
    ]
    odd.write_text("".join(json.dumps(record) + "\n" for record in records))
    table = folder / "measures.parquet"
    duckdb.execute(
        'copy (select 1 as id, 2.5 as "select", \'x: {y}\' as "from", null as nothing, '
        f"timestamp '1970-01-01' as at) to {path_literal(table)} (format parquet)"
    )
    return {
        "student_mat": (SHARED_DATA / "students" / "student-mat.csv", 395),
        "customer_courier_chat_messages": (
            SHARED_DATA / "courier" / "customer_courier_chat_messages.json",
            2500,
        ),
        "odd_shapes": (odd, 2),
        "measures": (table, 1),
    }


HEADERS = [
    "", "2013_pop", "On", "No", "1960", "1e3", "2024-01-01", "a,b", "Last, First", "x", "x", "X",
    "Row ID", "rowid", "select", "größe", "_row", "say \"hi\"", "it's", "{x}", "null", "#", "a: b",
]  # fmt: skip


@pytest.mark.parametrize("delimiter", [",", ";"])
def test_whatever_columns_are_called_staging_has_their_values(
    settings: Settings, tmp_path: Path, delimiter: str
) -> None:
    path = tmp_path / "odd.csv"
    values = [f"v{number}" for number in range(len(HEADERS))]
    with path.open("w", newline="") as file:
        csv.writer(file, delimiter=delimiter).writerows([HEADERS, values])
    made = new_source(settings, [path])
    (settings.landing / "odd").mkdir(parents=True)
    shutil.copy(path, settings.landing / "odd")
    report = load(settings, load_contracts(settings.project))
    assert (report.sources["odd"].rows_loaded, report.problems) == (1, [])
    run_build(settings).require_green()
    with lake.connect(settings, read_only=True) as opened:
        staged = ", ".join(f't."{column.staged}"' for column in made.columns)
        assert opened.rows(f"select {staged} from lake.staging.stg_odd__odd as t") == [
            tuple(values)
        ]
    linted = subprocess.run(
        [sys.executable, "-m", "sqlfluff", "lint", "models/staging/odd"],
        cwd=settings.project,
        env={**os.environ, "BOATHOUSE_HOME": str(settings.home)},
        capture_output=True,
        text=True,
        check=False,
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
    (settings.landing / "things").mkdir(parents=True)
    shutil.copy(path, settings.landing / "things")
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
        folder = settings.landing / source_name(tmp_path / name)
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(tmp_path / name, folder)
    report = load(settings, load_contracts(settings.project))
    assert {n: s.rows_loaded for n, s in report.sources.items()} == {"orders": 2, "shops": 1}


def test_a_column_that_could_not_be_typed_says_why(settings: Settings, tmp_path: Path) -> None:
    path = tmp_path / "things.csv"
    path.write_bytes(WRITTEN["nobody knows"][0])
    made = new_source(settings, [path])
    note = "its days may be %d/%m/%Y or %m/%d/%Y: say which in `date_formats`"
    assert [column.note for column in made.columns] == ["", note]
    assert note in made.files[0].read_text()


def test_sources_set_up_from_samples_load_build_and_lint(
    settings: Settings, tmp_path: Path
) -> None:
    found = samples(tmp_path)
    if not found["student_mat"][0].exists():
        pytest.skip(f"{SHARED_DATA} is not there; set BOATHOUSE_SHARED_DATA")
    for source, (path, rows) in found.items():
        made = new_source(settings, [path], domain="odd" if source == "odd_shapes" else "shop")
        assert (made.source, made.rows) == (source, rows)
        landing = settings.landing / source
        landing.mkdir(parents=True)
        shutil.copy(path, landing)
    report = load(settings, load_contracts(settings.project))
    counts = {source: (c.rows_loaded, c.rows_rejected) for source, c in report.sources.items()}
    assert counts == {source: (rows, 0) for source, (_, rows) in found.items()}
    built = run_build(settings)
    built.require_green()
    assert sum(result.kind == "unit_test" for result in built.results) == len(found)
    with lake.connect(settings, read_only=True) as opened:
        assert opened.rows("select order_value, at_value from lake.staging.stg_odd__shapes") != []
    linted = subprocess.run(
        [Path(sys.executable).with_name("sqlfluff"), "lint", "--disable-progress-bar", "models"],
        cwd=settings.project,
        env=os.environ
        | {"BOATHOUSE_HOME": str(settings.home_folder), "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert linted.returncode == 0, linted.stdout


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
    (settings.landing / "things").mkdir(parents=True)
    shutil.copy(path, settings.landing / "things")
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
    assert try_out(settings, made[1:2]).problems == ("stg_shop__bent and raw differ in 6 rows",)
    contract = model.with_name("_shop__sources.yml")
    contract.write_text(
        contract.read_text().replace('"1960"', '"1960"\n            data_tests: [not_null]')
    )
    tried = try_out(settings, made[2:])
    assert tried.rows_loaded == {"strict": 2}
    assert "strict.csv: 1 of 3 rows rejected" in tried.problems[0]
