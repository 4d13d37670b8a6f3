"""A contract says how its files are written."""

import gzip
import io
import json
import zipfile
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import openpyxl
import pytest
from yards import Yard, opened

from boathouse.errors import ContractError
from boathouse.sql import path_literal

EURO = {"decimal": ",", "thousands": ".", "strip": ["€", "%"], "delimiter": ";"}
BERLIN = {"timezone": "Europe/Berlin"}
DAY_FIRST = "%d/%m/%Y"
OFFSET = "%Y-%m-%dT%H:%M:%S%z"
ITEMS = b'{"n": {"data": 1}, "data": {"x": [], "items": [{"id": 1, "name": "x"}]}, "z": 1}'
FEATURES = '{"features": [{"id": 1, "name": "é"}]}'.encode("latin-1")
RUSSIAN = "Привет, как твои дела сегодня? Хорошо, спасибо большое".replace(",", "")
KOELN = ("id,name\n1,Zoë\n" + "2,Müller aus Köln\n" * 50).encode("cp1252")
VALUES: list[tuple[dict[str, Any], str, str, Any]] = [
    ({"null_values": ["NA", "n/a", "-"]}, "bigint", "NA", None),
    ({"null_values": ["NA", "n/a", "-"]}, "varchar", " n/a ", None),
    ({"null_values": ["NA"]}, "varchar", "NAN", "NAN"),
    ({"null_values": "999"}, "double", "999", None),
    ({}, "varchar", " x ", " x "),
    ({"trim": True}, "varchar", " x\u00a0", "x"),
    (EURO, "decimal(18,2)", "1.234.567,80 €", Decimal("1234567.80")),
    (EURO, "decimal(18,2)", "€ -3,5", Decimal("-3.5")),
    (EURO, "decimal(18,2)", "-€3,5", Decimal("-3.5")),
    (EURO, "bigint", "1.000", 1000),
    (EURO, "bigint", "1.000,0", 1000),
    (EURO, "bigint", "1.00", ...),
    (EURO, "bigint", "1.000,5", ...),
    (EURO, "double", "12,5 %", 12.5),
    (EURO, "double", "1.5", ...),
    (EURO, "double", "1e3", 1000.0),
    (EURO, "double", "", None),
    (EURO, "double", "%", ...),
    ({"thousands": ",", "strip": "$"}, "bigint", "$1,234,567", 1234567),
    ({"thousands": ",", "strip": "$"}, "bigint", "1,23", ...),
    ({"thousands": ",", "strip": "$"}, "decimal(9,2)", "-$1,234.50", Decimal("-1234.50")),
    ({"thousands": "'"}, "double", "1'234.5", 1234.5),
    ({"thousands": " "}, "bigint", "12 345", 12345),
    ({"decimal": "."}, "bigint", "5.0", 5),
    ({"decimal": "."}, "bigint", "1.000", 1),
    ({"decimal": "."}, "bigint", "1.5", ...),
    ({"strip": ["USD", "$"]}, "double", "USD 7", 7.0),
    ({"date_formats": ["%d/%m/%Y", "%d.%m.%y"]}, "date", "02/01/2024", date(2024, 1, 2)),
    ({"date_formats": ["%d/%m/%Y", "%d.%m.%y"]}, "date", " 2.1.24", date(2024, 1, 2)),
    ({"date_formats": "%d/%m/%Y"}, "date", "2024-01-02", date(2024, 1, 2)),
    ({"date_formats": "%d/%m/%Y"}, "date", "30/02/2024", ...),
    ({"date_formats": "%d/%m/%Y"}, "date", "01/13/2024", ...),
    ({"date_formats": "%b %d, %Y"}, "date", "Jan 2, 2024", date(2024, 1, 2)),
    ({"timestamp_formats": "%d/%m %y"}, "timestamp", "02/01 24", datetime(2024, 1, 2)),
    ({"timestamp_formats": OFFSET}, "timestamp", "2024-01-02T10:00:00+02", datetime(2024, 1, 2, 8)),
    ({**BERLIN, "timestamp_formats": OFFSET}, "timestamp", "2024-01-02T10:00:00+02",
     datetime(2024, 1, 2, 8)),
    ({**BERLIN, "epoch": "s"}, "timestamp", "1704067200", datetime(2024, 1, 1)),
    ({"epoch": "s"}, "timestamp", "1704067200", datetime(2024, 1, 1)),
    ({"epoch": "s"}, "timestamp", "1704067200.25", datetime(2024, 1, 1, 0, 0, 0, 250000)),
    ({"epoch": "ms"}, "timestamp", "-1", datetime(1969, 12, 31, 23, 59, 59, 999000)),
    ({"epoch": "us"}, "timestamp", "1704067200000001", datetime(2024, 1, 1, 0, 0, 0, 1)),
    ({"epoch": "ns"}, "timestamp", "1704067200000001000", datetime(2024, 1, 1, 0, 0, 0, 1)),
    ({"epoch": "ns"}, "timestamp", "1704067200000001001", ...),
    ({"epoch": "s"}, "timestamp", "99999999999999999", ...),
    (BERLIN, "timestamp", "2024-07-01 10:00", datetime(2024, 7, 1, 8)),
    (BERLIN, "timestamp", "2024-07-01 10:00:00Z", datetime(2024, 7, 1, 10)),
    (BERLIN, "timestamp", "2024-03-31 02:30:00", ...),
    (BERLIN, "timestamp", "2024-10-27 02:30", datetime(2024, 10, 27, 1, 30)),
    ({**BERLIN, "timestamp_formats": "%d.%m.%y"}, "timestamp", "1.7.24", datetime(2024, 6, 30, 22)),
    ({}, "timestamp", "2024-01-02T10:30", datetime(2024, 1, 2, 10, 30)),
    ({}, "timestamp", "2024-01-02T10:30Z", datetime(2024, 1, 2, 10, 30)),
    ({}, "timestamp", "2024-01-02t10:30:00z", datetime(2024, 1, 2, 10, 30)),
    ({}, "timestamp", " 2024-01-02 10:30:00,5 ", datetime(2024, 1, 2, 10, 30, 0, 500000)),
    ({}, "timestamp", "2024-01-02T10:30+02:00", datetime(2024, 1, 2, 8, 30)),
    ({}, "timestamp", "2024-01-02T25:00", ...),
    ({}, "date", " 2024-01-02 ", date(2024, 1, 2)),
]  # fmt: skip


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_values_are_read_as_they_are_written(tmp_path: Path, kind: str) -> None:
    yard = Yard(tmp_path)
    for number, (landing, data_type, text, _) in enumerate(VALUES):
        landing = {**landing, "format": kind}
        yard.source(f"s{number}", {"k": "bigint!", "it": data_type}, **landing)
        delimiter = landing.get("delimiter", ",")
        content = (
            f'k{delimiter}it\n1{delimiter}"{text}"\n'
            if kind == "csv"
            else json.dumps({"k": 1, "it": text})
        )
        yard.deliver(f"a.{kind}", content, f"s{number}")
    yard.load()
    with opened(yard.settings) as reader:
        found = [reader.rows(f"select it from lake.raw.s{each}") for each in range(len(VALUES))]
    for number, (landing, data_type, text, expected) in enumerate(VALUES):
        wanted = [] if expected is ... else [(expected,)]
        assert found[number] == wanted, (
            landing,
            data_type,
            text,
            yard.reason(f"a.{kind}", f"s{number}"),
        )


def test_numbers_of_json_are_no_text_in_a_dialect(tmp_path: Path) -> None:
    columns = {"a": "double", "b": "bigint", "c": "decimal(9,3)", "at": "timestamp"}
    yard = Yard(tmp_path).source(
        columns=columns, format="jsonl", decimal=",", thousands=".", epoch="s", null_values=["0"]
    )
    yard.deliver(
        "a.jsonl",
        '{"a": 1.5, "b": 5.0, "c": 1.000, "at": 1704067200.5}\n'
        '{"a": "1.500,5", "b": "1.000", "c": "1,5"}\n',
    )
    yard.load()
    assert yard.raw('a, b, c, "at"') == [
        (1.5, 5, Decimal(1), datetime(2024, 1, 1, 0, 0, 0, 500000)),
        (1500.5, 1000, Decimal("1.5"), None),
    ]


@pytest.mark.parametrize(
    ("landing", "content", "expected"),
    [
        ({"encoding": "latin-1"}, "id,name\n1,Zoë\n".encode("latin-1"), "Zoë"),
        ({"encoding": "cp1252"}, "id,name\n1,€\n".encode("cp1252"), "€"),
        ({"encoding": "utf-16"}, "id,name\n1,Zoë\n".encode("utf-16"), "Zoë"),
        ({"encoding": "utf-16-le"}, "id,name\n1,Zoë\n".encode("utf-16-le"), "Zoë"),
        ({"encoding": "auto"}, "id,name\n1,Zoë\n".encode(), "Zoë"),
        ({"encoding": "auto"}, "id,name\n1,Zoë\n".encode("utf-16"), "Zoë"),
        ({"encoding": "auto"}, KOELN, "Zoë"),
        ({"encoding": "auto"}, "id,name\n1,Zoë – 5 €\n".encode("cp1252"), "Zoë – 5 €"),
        ({"encoding": "auto"}, f"id,name\n1,{RUSSIAN}\n".encode("cp1251"), RUSSIAN),
        ({"encoding": "utf-8"}, "id,name\n1,Zoë\n".encode("utf-8-sig"), "Zoë"),
        ({"skip_rows": 2}, b"a report\n\nid,name\n1,x\n", "x"),
        ({"header_row": 3}, b"a report\r\n\r\nid,name\r\n1,x\r\n", "x"),
        ({"skip_rows": 1, "header_row": 2}, b"1\r2\rid,name\r1,x\r", "x"),
        ({"comment": "#"}, b'# one\nid,name\n# two\n1,"x\n# no comment"\n', "x\n# no comment"),
        ({"no_header": True}, b"1,x\n", "x"),
        ({"no_header": True, "skip_rows": 1}, b"a report\n1,x\n", "x"),
        ({"no_header": True, "delimiter": [",", ";"]}, b"1;x\n", "x"),
        ({"no_header": True}, b'1,"x\ny"\n', "x\ny"),
        ({"format": "json", "records": "data.items"}, ITEMS, "x"),
        ({"format": "json", "records": "features", "encoding": "latin-1"}, FEATURES, "é"),
    ],
)  # fmt: skip
def test_files_are_read_as_they_are_laid_out(
    tmp_path: Path, landing: dict[str, Any], content: bytes, expected: str
) -> None:
    yard = Yard(tmp_path).source(columns={"id": "bigint!", "name": "varchar"}, **landing)
    kind = landing.get("format", "csv")
    yard.deliver(f"a.{kind}", content)
    yard.deliver(f"b.{kind}.gz", gzip.compress(content))
    yard.load()
    assert [row[1:] for row in yard.ledger()] == [("loaded", len(yard.raw()) // 2, 0)] * 2, (
        yard.reason(f"a.{kind}")
    )
    assert yard.raw("id, name")[0] == (1, expected)


def test_large_files_are_laid_out_in_pieces(tmp_path: Path) -> None:
    lines = "".join(f"# {n}\r\n{n};Zoë {n}\r\n" for n in range(400_000))
    yard = Yard(tmp_path).source(
        columns={"id": "bigint!", "name": "varchar"}, encoding="utf-16", comment="#", delimiter=";"
    )
    yard.deliver("a.csv", f"id;name\r\n{lines}".encode("utf-16"))
    yard.load()
    assert yard.rows("select count(*), sum(id), count(distinct name) from lake.raw.things") == [
        (400_000, 399_999 * 200_000, 400_000)
    ]


@pytest.mark.parametrize(
    ("landing", "content", "reason"),
    [
        ({"encoding": "ascii"}, "id,name\n1,Zoë\n".encode(), "the text is not ascii"),
        ({"encoding": "utf-16"}, b"\xff\xfei\0d", "the text is not utf-16"),
        ({"format": "json", "records": "items"}, b'{"id": 1}', "there is no 'items' in it"),
        ({"format": "json", "records": "a"}, b'{"a": {}}', "what stands at 'a' in it is no array"),
        ({"format": "json", "records": "a"}, b'{"a": [] x', "it is not valid JSON"),
        ({"skip_rows": 9}, b"id,name\n1,x\n", "the first line, which should be the header"),
    ],
)  # fmt: skip
def test_a_file_that_is_laid_out_otherwise_is_refused(
    tmp_path: Path, landing: dict[str, Any], content: bytes, reason: str
) -> None:
    yard = Yard(tmp_path).source(columns={"id": "bigint!", "name": "varchar"}, **landing)
    yard.deliver("a.x", content)
    yard.load()
    assert reason in yard.reason("a.x")


def test_members_of_an_archive_and_names_are_chosen_by_patterns(tmp_path: Path) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("data/a.csv", "id\n1\n")
        archive.writestr("meta/a.csv", "about\nx\n")
        archive.writestr("readme.txt", "x")
    yard = Yard(tmp_path).source(
        columns={"id": "bigint"}, files="*", members="data/*.csv", ignore=["*.bak", "~$*"]
    )
    yard.deliver("a.zip", packed.getvalue())
    yard.deliver("b.csv.bak", "x")
    yard.deliver("~$b.csv", "x")
    yard.load(leaves=["things/b.csv.bak", "things/~$b.csv"])
    assert yard.raw("_file, id") == [("a.zip", 1)]
    yard.source("usual", {"id": "bigint"})
    for name in ("_SUCCESS", "~$a.xlsx"):
        yard.deliver(name, "", "usual")
    yard.load(leaves=["things/b.csv.bak", "things/~$b.csv", "usual/_SUCCESS", "usual/~$a.xlsx"])


def test_columns_come_from_the_path(tmp_path: Path) -> None:
    columns = {"id": "bigint", "dt": "date", "place": "varchar from city", "shop": "varchar"}
    yard = Yard(tmp_path).source(
        columns=columns, hive_columns=["dt", "place"], filename_columns={"shop": "^([^/=]+)/"}
    )
    yard.deliver("north/dt=2026-01-02/City=K%C3%B6ln/a.csv", "id\n1\n")
    yard.deliver("south/dt=2026-01-02/city=__HIVE_DEFAULT_PARTITION__/a.csv", "id\n2\n")
    yard.deliver("south/dt=soon/a.csv", "id\n3\n")
    yard.load()
    assert yard.raw("id, dt, place, shop") == [
        (1, date(2026, 1, 2), "Köln", "north"),
        (2, date(2026, 1, 2), None, "south"),
    ]
    assert "dt is soon, not a date" in yard.reason("south/dt=soon/a.csv")


@pytest.mark.parametrize(
    ("limit", "loaded"),
    [({"max_bad_rows": 1}, "bc"), ({"max_bad_share": 0.3}, "c"), ({"max_bad_rows": 0}, "c")],
)
def test_a_file_with_too_many_bad_rows_is_set_aside_as_a_whole(
    tmp_path: Path, limit: dict[str, Any], loaded: str
) -> None:
    yard = Yard(tmp_path).source(columns={"id": "bigint!"}, **limit)
    yard.deliver("a.csv", "id\n1\nx\ny\n")
    yard.deliver("b.csv", "id\n1\nx\n")
    yard.deliver("c.csv", "id\n1\n2\n")
    yard.load()
    status = {name: status for name, status, *_ in yard.ledger()}
    assert [name[0] for name in sorted(status) if status[name] == "loaded"] == list(loaded)
    key, value = next(iter(limit.items()))
    assert yard.reason("a.csv").startswith(f"it has bad rows ({key}: {value}): 2 of 3 rows")


@pytest.mark.parametrize(
    ("landing", "problem"),
    [
        ({"encoding": "klingon"}, "Python knows no encoding 'klingon'"),
        ({"encoding": "base64"}, "'base64' is no encoding of text"),
        ({"timezone": "Mars"}, "'Mars' is no time zone"),
        ({"decimal": ",", "thousands": ","}, "decimal and thousands cannot be the same sign"),
        ({"thousands": "."}, "decimal and thousands cannot be the same sign"),
        ({"date_formats": "dd/mm"}, "'dd/mm' is no format"),
        ({"date_formats": "%d/%q"}, "is no format"),
        ({"strip": ["-"]}, "'-' is empty or can be part of a number"),
        ({"no_header": True, "header_row": 2}, "there is no header_row"),
        ({"skip_rows": -1}, "greater than or equal to 0"),
        ({"max_bad_share": 2}, "less than or equal to 1"),
        ({"hive_columns": ["x"]}, "names x, which is no column"),
    ],
)
def test_a_dialect_that_cannot_be_is_refused(
    tmp_path: Path, landing: dict[str, Any], problem: str
) -> None:
    yard = Yard(tmp_path).source(columns={"id": "bigint"}, **landing)
    with pytest.raises(ContractError) as caught:
        yard.load()
    assert problem in str(caught.value)


def test_a_workbooks_text_is_in_the_dialect_and_its_numbers_are_not(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    other, sheet = book.active, book.create_sheet("Data 2026")
    other["A1"] = "about"
    sheet["A1"] = "a report"
    sheet.append([])
    rows = [
        ["price", "ratio", "day", "at", "name"],
        ["1.234,50 €", "12,5", "02/01/2024", "2024-07-01 10:00", " x "],
        [1234.5, 12.5, datetime(2024, 1, 2), datetime(2024, 7, 1, 10), "NA"],
        ["1234.5", "1.5", "01/13/2024", 45293, None],
    ]
    for row in rows:
        sheet.append(row)
    content = io.BytesIO()
    book.save(content)
    columns = {
        "price": "decimal(9,2)",
        "ratio": "double",
        "day": "date",
        "at": "timestamp",
        "name": "varchar",
    }
    landing = {
        "format": "xlsx",
        "sheet": "Data *",
        "skip_rows": 2,
        "trim": True,
        "null_values": "NA",
        "decimal": ",",
        "thousands": ".",
        "strip": "€",
        "date_formats": DAY_FIRST,
        **BERLIN,
    }
    yard = Yard(tmp_path).source(columns=columns, **landing)
    yard.deliver("a.xlsx", content.getvalue())
    for name, sheet_key in (("first", 1), ("none", "x"), ("usual", "")):
        yard.source(name, {"about": "varchar"}, format="xlsx", sheet=sheet_key)
        yard.deliver("a.xlsx", content.getvalue(), name)
    headless = {"no_header": True, "skip_rows": 3}
    yard.source("headless", dict.fromkeys(columns, "varchar"), format="xlsx", sheet=2, **headless)
    yard.deliver("a.xlsx", content.getvalue(), "headless")
    yard.load()
    good = (Decimal("1234.50"), 12.5, date(2024, 1, 2), datetime(2024, 7, 1, 8))
    assert yard.raw('price, ratio, day, "at", name') == [(*good, "x"), (*good, None)]
    (reject,) = yard.rejects()
    assert [reason.split()[0] for reason in reject.reasons] == ["price", "ratio", "day", "at"]
    assert yard.ledger("first") == [("a.xlsx", "loaded", 0, 0)]
    assert "no sheet for sheet: x; it has 'Sheet', 'Data 2026'" in yard.reason("a.xlsx", "none")
    assert "say which one in the contract" in yard.reason("a.xlsx", "usual")
    assert [row[0] for row in yard.raw("price", "headless")] == ["1.234,50 €", "1234.5", "1234.5"]


def test_parquets_text_is_in_the_dialect_and_its_numbers_are_not(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    duckdb.execute(
        "copy (select '1.234,5' as a, 1234.5 as b, 1704067200 as \"at\", 'NA' as name, "
        "timestamp '2024-07-01 10:00' as seen, timestamptz '2024-07-01 10:00:00+00' as heard) "
        f"to {path_literal(path)} (format parquet)"
    )
    columns = {
        "a": "double",
        "b": "double",
        "at": "timestamp",
        "name": "varchar",
        "seen": "timestamp",
        "heard": "timestamp",
    }
    yard = Yard(tmp_path).source(
        columns=columns, format="parquet", decimal=",", thousands=".", epoch="s", null_values="NA",
        **BERLIN,
    )  # fmt: skip
    yard.deliver("a.parquet", path.read_bytes())
    yard.load()
    assert yard.raw('a, b, "at", name, seen, heard') == [
        (
            1234.5,
            1234.5,
            datetime(2024, 1, 1),
            None,
            datetime(2024, 7, 1, 8),
            datetime(2024, 7, 1, 10),
        )
    ]
