"""What the loader promises, on files that are as they should be."""

import bz2
import gzip
import io
import json
import os
import shutil
import zipfile
from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import openpyxl
import pytest
from backports import zstd
from yards import SOURCE, Yard

from boathouse.errors import ContractError, UsageError
from boathouse.ingest.loader import load
from boathouse.ingest.quarantine import replay, waiting
from boathouse.sql import literal

ROWS = [(1, "Zoë", 2.5), (2, 'say "hi", you', -1.0), (3, None, None)]


def as_csv(delimiter: str = ",") -> bytes:
    quoted = [
        f"id{delimiter}name{delimiter}amount",
        f"1{delimiter}Zoë{delimiter}2.5",
        f'2{delimiter}"say ""hi"", you"{delimiter}-1',
        f"3{delimiter}{delimiter}",
    ]
    return ("\n".join(quoted) + "\n").encode()


def as_objects() -> list[dict[str, Any]]:
    return [{"id": i, "name": name, "amount": amount} for i, name, amount in ROWS]


def as_parquet(query: str | None = None) -> bytes:
    target = Path(f"{pytest_folder()}/x.parquet")
    values = (
        "(values (1, 'Zoë', 2.5), (2, 'say \"hi\", you', -1), (3, null, null)) t(id, name, amount)"
    )
    duckdb.connect().execute(
        f"copy ({query or f'select * from {values}'}) to {literal(str(target))} (format parquet)"
    )
    return target.read_bytes()


def pytest_folder() -> Path:
    import tempfile

    return Path(tempfile.mkdtemp(prefix="boathouse-test-"))


def as_xlsx(rows: list[list[Any]] | None = None) -> bytes:
    book = openpyxl.Workbook()
    for row in rows or [["id", "name", "amount"], *map(list, ROWS)]:
        book.active.append(row)
    target = io.BytesIO()
    book.save(target)
    return target.getvalue()


def as_zip(**members: bytes) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name.replace("__", "/"), data)
    return target.getvalue()


FORMATS: dict[str, Callable[[], bytes]] = {
    "csv": as_csv,
    "json": lambda: json.dumps(as_objects(), indent=2).encode(),
    "jsonl": lambda: "".join(json.dumps(o) + "\n" for o in as_objects()).encode(),
    "parquet": as_parquet,
    "xlsx": as_xlsx,
}
PACKINGS: dict[str, Callable[[bytes], bytes]] = {
    "": lambda data: data,
    ".gz": gzip.compress,
    ".zst": zstd.compress,
    ".bz2": bz2.compress,
    ".zip": lambda data: as_zip(data=data),
}


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Yard:
    """Return a yard that has loaded the same rows in every format and packing."""
    yard = Yard(tmp_path_factory.mktemp("packed"))
    for kind, write in FORMATS.items():
        yard.source(kind, files=f"*.{kind}*", format=kind)
        for suffix, pack in PACKINGS.items():
            yard.deliver(f"a.{kind}{suffix}", pack(write()), kind)
    yard.load()
    return yard


@pytest.mark.parametrize("kind", list(FORMATS))
@pytest.mark.parametrize("suffix", list(PACKINGS))
def test_every_format_is_read_in_every_packing(packed: Yard, kind: str, suffix: str) -> None:
    found = packed.rows(
        f"select id, name, amount, _row from lake.raw.{kind} where _file = 'a.{kind}{suffix}' "
        "order by _row"
    )
    assert found == [(*row, number) for number, row in enumerate(ROWS, 1)]


def test_every_row_tells_its_load_file_place_and_time(tmp_path: Path) -> None:
    yard = Yard(tmp_path).source()
    yard.deliver("sub/a.csv", as_csv())
    before = datetime.utcnow().replace(microsecond=0)
    yard.load()
    rows = yard.raw("_load_id, _file, _row, _loaded_at")
    assert [row[:3] for row in rows] == [(1, "sub/a.csv", n) for n in (1, 2, 3)]
    assert all(before <= loaded_at <= datetime.utcnow() for *_, loaded_at in rows)


# -- CSV -----------------------------------------------------------------------------------

CSVS = {
    "semicolon.csv": as_csv(";"),
    "tab.csv": as_csv("\t"),
    "pipe.csv": as_csv("|"),
    "mark.csv": b"\xef\xbb\xbf" + as_csv(),
    "returns.csv": as_csv().replace(b"\n", b"\r\n"),
    "old-mac.csv": as_csv().replace(b"\n", b"\r"),
    "no-end.csv": as_csv().rstrip(b"\n"),
    "all-quoted.csv": 'id,name,amount\n"1","Zoë","2.5"\n"2","say ""hi"", you","-1"\n"3","",""\n',
    "other-order.csv": 'Amount,ID,NAME\n2.5,1,Zoë\n-1,2,"say ""hi"", you"\n,3,\n',
    "blank-lines.csv": as_csv().replace(b"\n", b"\n\n") + b"\n\n",
    "empty-fields-too-many.csv": 'id,name,amount\n1,Zoë,2.5,,\n2,"say ""hi"", you",-1,\n3,,,,\n',
}


@pytest.fixture(scope="module")
def csvs(tmp_path_factory: pytest.TempPathFactory) -> Yard:
    """Return a yard that has loaded the same rows in every dress a CSV file may wear."""
    yard = Yard(tmp_path_factory.mktemp("csvs")).source(delimiter=[",", ";", "\t", "|"])
    for name, data in CSVS.items():
        yard.deliver(name, data)
    yard.load()
    return yard


@pytest.mark.parametrize("name", list(CSVS))
def test_a_csv_file_is_read_in_every_dress(csvs: Yard, name: str) -> None:
    found = csvs.rows(
        f"select id, name, amount, _row from lake.raw.things where _file = '{name}' order by _row"
    )
    assert found == [(*row, number) for number, row in enumerate(ROWS, 1)]


def test_line_breaks_inside_quotes_are_kept_as_they_are(tmp_path: Path) -> None:
    yard = Yard(tmp_path).source()
    yard.deliver("a.csv", 'id,name,amount\n1,"one\r\n\r\ntwo",1\n2,"a\nb",2\n3,plain,3\n')
    yard.deliver("b.csv", "id,name,amount\n1,plain,1\n")
    yard.deliver("c.csv", 'id,name,amount\n1,"q ""x"" ",1\n2,"tail ",2\n')
    yard.load()
    assert yard.raw("name") == [
        ("one\r\n\r\ntwo",), ("a\nb",), ("plain",), ("plain",), ('q "x" ',), ("tail ",)
    ]  # fmt: skip


def test_a_file_over_several_blobs_with_line_breaks_in_quotes_is_read_once(tmp_path: Path) -> None:
    # Such a file fails in one blob and has rows in others: all of it must be read again, once.
    yard = Yard(tmp_path, batch_bytes=2000).source(delimiter=[",", ";"])
    for name, delimiter in (("a.csv", ","), ("b.csv", ";")):
        lines = [f"{n}{delimiter}plain{delimiter}1.5" for n in range(1, 1001)]
        lines[700] = f'701{delimiter}"two\nlines"{delimiter}1.5'
        lines[20] = f"21{delimiter}short"
        yard.deliver(name, f"id{delimiter}name{delimiter}amount\n" + "\n".join(lines) + "\n")
    yard.deliver("c.csv", "id,name,amount\n1,plain,1\n")
    yard.settings = yard.settings.model_copy(update={"batch_bytes": 64_000})
    one_batch = yard.settings.model_copy(update={"batch_bytes": 64_000})
    assert one_batch.batch_bytes > sum(
        p.stat().st_size for p in yard.path("a.csv").parent.iterdir()
    )
    yard.load()
    assert yard.ledger() == [
        ("a.csv", "loaded", 999, 1), ("b.csv", "loaded", 999, 1), ("c.csv", "loaded", 1, 0)
    ]  # fmt: skip
    assert [reject.row for reject in yard.rejects()] == [21, 21]


def test_many_columns_are_no_problem(tmp_path: Path) -> None:
    columns = {f"c{n}": "integer!" for n in range(400)}
    yard = Yard(tmp_path).source(columns=columns)
    yard.deliver("a.csv", ",".join(columns) + "\n" + ",".join(map(str, range(400))) + "\n")
    yard.load()
    assert yard.raw("c0, c399") == [(0, 399)]


@pytest.mark.parametrize("kind", ["csv", "json", "jsonl", "parquet"])
def test_columns_may_have_names_that_the_loader_uses_itself(tmp_path: Path, kind: str) -> None:
    names = [
        "row",
        "file_no",
        "t0",
        "c0",
        "doc",
        "object",
        "line",
        "text",
        "name",
        "file_row_number",
    ]
    if kind == "parquet":
        names.remove("file_row_number")  # DuckDB's own
    yard = Yard(tmp_path).source(columns=dict.fromkeys(names, "bigint!"), format=kind)
    record = dict(zip(names, range(len(names)), strict=True))
    text = {
        "csv": f"{','.join(names)}\n{','.join(map(str, record.values()))}\n",
        "json": json.dumps([record]),
        "jsonl": json.dumps(record),
        "parquet": as_parquet("select " + ", ".join(f'{v} as "{k}"' for k, v in record.items())),
    }
    yard.deliver("a", text[kind])
    yard.load()
    assert yard.raw(", ".join(f'"{name}"' for name in names)) == [tuple(record.values())]


# -- JSON ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        '[{"id": 1}, {"id": 2}]',
        '[\n  {\n    "id": 1\n  },\n  {\n    "id": 2\n  }\n]\n',
        '{"id": 1}\n{"id": 2}\n',
        '{"id": 1}\r\n{"id": 2}',
        '{"id": 1}\r{"id": 2}\r',
        '{"id": 1} {"id": 2}',
        '{\n  "id": 1\n}\n{\n  "id": 2\n}\n',
        '\ufeff{"id": 1}\n\n   \n{"id": 2}\n\n',
    ],
)
def test_json_is_read_in_every_layout(tmp_path: Path, text: str) -> None:
    yard = Yard(tmp_path).source(columns={"id": "bigint!"}, format="json")
    yard.deliver("a.json", text)
    yard.load()
    assert yard.raw("id, _row") == [(1, 1), (2, 2)]


def test_json_fields_are_found_in_any_spelling(tmp_path: Path) -> None:
    columns = {"player_id": "varchar!", "is_paid": "boolean", "extra_data": "json"}
    yard = Yard(tmp_path).source(columns=columns, format="jsonl")
    yard.deliver("a.jsonl", '{"playerId": "a", "isPaid": true, "extraData": {"x": [1]}}\n')
    yard.deliver("b.jsonl", '{"player_id": 7, "IS_PAID": false, "Extra Data": "text"}\n')
    yard.deliver("c.jsonl", '{"PlayerID": "{c}", "extra_data": null}\n')
    yard.load()
    assert yard.raw("player_id, is_paid, extra_data") == [
        ("a", True, '{"x":[1]}'),
        ("7", False, '"text"'),
        ("{c}", None, None),
    ]


def test_numbers_in_json_are_exact_as_far_as_their_column_is(tmp_path: Path) -> None:
    columns = {"id": "bigint", "amount": "decimal(18,2)", "ratio": "double", "text": "varchar"}
    yard = Yard(tmp_path).source(columns=columns, format="json")
    long = "9" * 5000  # more digits than Python turns into a number
    yard.deliver(
        "a.json",
        '[{"id": 9223372036854775807, "amount": 9.99, "ratio": 1e3, "text": 12345678901234567890},'
        f' {{"id": 5.0, "amount": 1e2, "text": {long}}}]',
    )
    yard.load()
    assert yard.raw("id, amount, ratio, text") == [
        (2**63 - 1, Decimal("9.99"), 1000.0, "12345678901234567890"),
        (5, Decimal("100.00"), None, long),
    ]


# -- workbooks and Parquet -----------------------------------------------------------------


def test_a_workbook_gives_dates_times_numbers_and_text(tmp_path: Path) -> None:
    columns = {
        "id": "bigint!",
        "day": "date",
        "at": "timestamp",
        "name": "varchar",
        "ok": "boolean",
    }
    yard = Yard(tmp_path).source(columns=columns, format="xlsx")
    rows: list[list[Any]] = [
        list(columns),
        [1, date(2023, 7, 21), datetime(2023, 7, 21, 10, 30, 15), "x", True],
        [None] * 5,
        [2, "2023-07-22", "2023-07-22T00:00:00+02:00", 45128, False],
        [3, date(1900, 3, 1), datetime(1999, 12, 31, 23, 59, 59), None, None],
        ["x", "soon", -1, "bad", "perhaps"],
        [4, datetime(2023, 7, 21, 10, 30), None, "a time is no date", None],
    ]
    yard.deliver("a.xlsx", as_xlsx(rows))
    yard.load()
    assert yard.raw("* exclude (_load_id, _file, _loaded_at)") == [
        (1, date(2023, 7, 21), datetime(2023, 7, 21, 10, 30, 15), "x", True, 1),
        (2, date(2023, 7, 22), datetime(2023, 7, 21, 22), "45128", False, 2),
        (3, date(1900, 3, 1), datetime(1999, 12, 31, 23, 59, 59), None, None, 3),
    ]
    bad, time = yard.rejects()
    assert (bad.row, len(bad.reasons)) == (4, 4)
    assert time.reasons == ["day is 2023-07-21 10:30:00, not a date that exists (YYYY-MM-DD)"]


def test_parquet_types_are_brought_to_those_of_the_contract(tmp_path: Path) -> None:
    columns = {"id": "bigint!", "seen_at": "timestamp", "amount": "decimal(9,2)", "tags": "json"}
    yard = Yard(tmp_path).source(columns=columns, format="parquet")
    yard.deliver(
        "a.parquet",
        as_parquet(
            "select 5.0::double as \"ID\", timestamptz '2023-07-21 12:00:00+02' as seen_at, "
            "9.9::decimal(4,1) as amount, ['a'] as tags union all select 1.5, null, null, null"
        ),
    )
    yard.load()
    assert yard.raw("id, seen_at, amount, tags") == [
        (5, datetime(2023, 7, 21, 10), Decimal("9.90"), '["a"]')
    ]
    [reject] = yard.rejects()
    assert (reject.row, reject.reasons) == (2, ["id is 1.5, not a whole number"])
    assert json.loads(reject.text) == {"ID": 1.5, "seen_at": None, "amount": None, "tags": None}


@pytest.mark.usefixtures("read_here")
def test_a_refused_parquet_file_is_not_written_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Large files are read in place, through a link in the work folder.
    monkeypatch.setattr("boathouse.ingest.content.SMALL", 100)
    yard = Yard(tmp_path).source(columns={"id": "bigint!"}, format="parquet")
    wrong = as_parquet("select range as other from range(1000)")
    yard.deliver("a.parquet", wrong)
    monkeypatch.setattr("boathouse.ingest.content.SMALL", len(wrong) - 1)
    yard.deliver("b.parquet", as_parquet("select 1 as id"))
    yard.deliver("c.parquet", as_parquet("select range as id from range(5000)"))
    yard.load()
    assert [row[:3] for row in yard.ledger()] == [
        ("a.parquet", "rejected", 0), ("b.parquet", "loaded", 1), ("c.parquet", "loaded", 5000)
    ]  # fmt: skip
    assert yard.rejected_file("a.parquet").read_bytes() == wrong


# -- archives ------------------------------------------------------------------------------


def test_the_files_of_a_zip_are_one_delivery_with_rows_numbered_through(tmp_path: Path) -> None:
    yard = Yard(tmp_path).source(delimiter=[",", ";"])
    members = {
        "b__b.csv": b"id,name,amount\n1,x,1\nbad,x,1\n",
        "a.csv": b'id;name;amount\n3;"two\nlines";1\n',
        "c.csv": b"amount,id,name\n1,4,x\n1,5\n",
    }
    yard.deliver("a.csv.zip", as_zip(**members))
    yard.load()
    assert yard.raw("id, _row") == [(1, 1), (3, 3), (4, 4)]
    assert [(r.row, r.text) for r in yard.rejects()] == [(2, "bad,x,1"), (5, "1,5")]


@pytest.mark.usefixtures("read_here")
def test_a_large_archive_is_unpacked_in_the_work_folder_and_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("boathouse.ingest.content.SMALL", 1000)
    monkeypatch.setattr("boathouse.ingest.content.PIECE", 300)
    yard = Yard(tmp_path).source()
    lines = "".join(f'{n},"{n} ""x""",1.5\n' for n in range(1, 501))
    yard.deliver("a.csv.gz", gzip.compress(f"id,name,amount\n{lines}".encode()))
    yard.deliver("b.csv.zip", as_zip(b=f"id,name,amount\n{lines}".encode()))
    yard.deliver("c.csv", f"id,name,amount\n{lines}")
    yard.load()
    assert [row[2] for row in yard.ledger()] == [500, 500, 500]
    assert yard.raw("name")[0] == ('1 "x"',)


# -- new columns, bad rows -----------------------------------------------------------------

NEW = {
    "csv": "id,newThing,Other\n1,x,\n2,,7\n",
    "jsonl": '{"id": 1, "newThing": "x"}\n{"id": 2, "Other": 7}\n',
    "parquet": "select 1 as id, 'x' as newThing, null::int as Other union all select 2, null, 7",
}


def new_columns(tmp_path: Path, kind: str, mode: str) -> Yard:
    yard = Yard(tmp_path).source(columns={"id": "bigint!"}, format=kind, new_columns=mode)
    yard.deliver("a", as_parquet(NEW[kind]) if kind == "parquet" else NEW[kind])
    yard.load()
    return yard


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_file_with_new_columns_is_refused_when_the_contract_rejects_them(
    tmp_path: Path, kind: str
) -> None:
    yard = new_columns(tmp_path, kind, "reject")
    assert yard.reason("a") == (
        "the header has new_thing, other, which the contract does not know (new_columns: reject)"
    )


def test_a_json_record_with_new_fields_is_rejected_when_the_contract_rejects_them(
    tmp_path: Path,
) -> None:
    yard = new_columns(tmp_path, "jsonl", "reject")
    assert [reject.reasons for reject in yard.rejects()] == [
        ["new_thing is not in the contract (new_columns: reject)"],
        ["other is not in the contract (new_columns: reject)"],
    ]


@pytest.mark.parametrize("kind", list(NEW))
def test_new_columns_are_added_as_text(tmp_path: Path, kind: str) -> None:
    yard = new_columns(tmp_path, kind, "add")
    assert yard.raw("id, new_thing, other") == [(1, "x", None), (2, None, "7")]
    yard.source(columns={"id": "bigint!"}, format=kind, new_columns="add")
    if kind == "csv":
        yard.deliver("b", "id\n3\n")
        yard.deliver("a", "id,Third\n1,z\n")
        yard.load()
        assert yard.raw("id, new_thing, third, _file") == [
            (1, None, "z", "a"), (3, None, None, "b")
        ]  # fmt: skip
        assert len(yard.rows("from lake.replaced.things")) == 2


@pytest.mark.parametrize("kind", list(NEW))
def test_new_columns_are_rescued(tmp_path: Path, kind: str) -> None:
    yard = new_columns(tmp_path, kind, "rescue")
    rescued = [(i, json.loads(extra)) for i, extra in yard.raw("id, _extra")]
    seven = "7" if kind == "csv" else 7
    assert rescued == [(1, {"new_thing": "x"}), (2, {"other": seven})]


def test_rescued_json_keeps_its_types(tmp_path: Path) -> None:
    yard = Yard(tmp_path).source(columns={"id": "bigint"}, format="jsonl", new_columns="rescue")
    extra = {"a": 1.5, "b": {"x": [1, None]}, "c": "text", "d": None, "e": True, "_f": 1, "it's": 2}
    yard.deliver("a.jsonl", json.dumps({"id": 1, **extra}) + '\n{"id": 2}\n')
    yard.load()
    rows = yard.raw("id, _extra")
    assert json.loads(rows[0][1]) == {**{k: extra[k] for k in "abcde"}, "f": 1, "it_s": 2}
    assert rows[1] == (2, None)


def test_a_new_column_with_a_name_of_ours_is_told(tmp_path: Path) -> None:
    yard = Yard(tmp_path).source(columns={"id": "bigint"}, new_columns="add")
    yard.source("events", columns={"id": "bigint"}, format="jsonl", new_columns="add")
    yard.deliver("a.csv", "id,_load_id\n1,2\n")
    yard.deliver("a.jsonl", '{"id": 1, "_row": 2}\n{"id": 2, "": 2}\n{"id": 3, "x": 3}\n', "events")
    yard.load()
    assert yard.ledger() == [("a.csv", "loaded", 1, 0)], "snake case has no leading _"
    assert yard.raw("id, load_id") == [(1, "2")]
    assert yard.raw("id, row, x", "events") == [(1, "2", None), (3, None, "3")]
    assert [r.reasons for r in yard.rejects(source="events")] == [["it has a field without a name"]]


def test_a_file_with_a_bad_row_is_refused_when_the_contract_takes_none(tmp_path: Path) -> None:
    yard = Yard(tmp_path).source(bad_rows="reject_file")
    yard.deliver("a.csv", "id,name,amount\n1,x,1\nbad,x,1\n3,x\n")
    yard.deliver("b.csv", "id,name,amount\n1,x,1\n")
    yard.load()
    assert yard.ledger() == [("a.csv", "rejected", 0, 0), ("b.csv", "loaded", 1, 0)]
    assert yard.reason("a.csv") == (
        "it has bad rows (bad_rows: reject_file): 2 of 3 rows rejected: row 2: id is bad, not a "
        "whole number · row 3: the record has 2 fields, the header 3"
    )


def test_only_the_first_bad_rows_are_in_the_reason(tmp_path: Path) -> None:
    yard = Yard(tmp_path).source()
    yard.deliver("a.csv", "id,name,amount\n" + "x,x,1\n" * 1200)
    yard.load()
    reason = yard.reason("a.csv")
    assert reason.startswith("1,200 of 1,200 rows rejected: row 1: id is x, not a whole number · ")
    assert reason.endswith(" · and 1,195 more")


# -- rules ---------------------------------------------------------------------------------


def test_row_rules_come_from_the_data_tests(tmp_path: Path) -> None:
    columns = {
        "event": ["varchar!", {"accepted_values": {"arguments": {"values": ["start", "end"]}}}],
        "country": [
            "varchar",
            {"not_null": {"config": {"where": "event = 'start'"}}},
            {"matches_pattern": {"arguments": {"pattern": "[A-Z]{2}"}}},
        ],
        "age": ["integer", {"accepted_range": {"arguments": {"min_value": 10, "max_value": 30}}}],
        "note": ["varchar", "unique", {"not_null": {"config": {"severity": "warn"}}}],
    }
    yard = Yard(tmp_path).source(columns=columns)
    yard.deliver(
        "a.csv",
        "event,country,age,note\nstart,PK,10,\nend,,30,\nstart,,20,\nstop,pk,31,\n,PK,9,\n",
    )
    yard.load()
    assert yard.raw("event, country, age") == [("start", "PK", 10), ("end", None, 30)]
    assert [(r.row, r.reasons, r.text) for r in yard.rejects()] == [
        (3, ["country is missing (where event = 'start')"], "start,,20,"),
        (
            4,
            [
                "event is stop, not one of start, end",
                "country is pk, which does not match [A-Z]{2}",
                "age is 31, above 30",
            ],
            "stop,pk,31,",
        ),
        (5, ["event is missing", "age is 9, below 10"], ",PK,9,"),
    ]


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
@pytest.mark.parametrize(
    ("test", "telling"),
    [
        ({"not_null": {"config": {"where": "no_such_column = 1"}}}, "no_such_column"),
        ({"not_null": {"config": {"where": "name = = 1"}}}, "syntax error"),
        ({"matches_pattern": {"pattern": "("}}, "missing )"),
        ({"not_null": {"config": {"where": "name::int = 1"}}}, "Could not convert string 'x'"),
    ],
)
def test_a_rule_that_cannot_be_run_is_told_with_its_contract(
    tmp_path: Path, test: Any, telling: str, kind: str
) -> None:
    yard = Yard(tmp_path).source(columns={"id": ["bigint", test], "name": "varchar"}, format=kind)
    yard.deliver("a", "id,name\n,x\n" if kind == "csv" else '{"id": "", "name": "x"}\n')
    with pytest.raises(ContractError) as caught:
        load(yard.settings, yard.contracts)
    assert "_things__sources.yml: table things: the data tests of its columns" in str(caught.value)
    assert telling in caught.value.message
    assert yard.path("a").exists()


# -- names and deliveries ------------------------------------------------------------------


def test_columns_come_from_the_files_name(tmp_path: Path) -> None:
    columns = {
        "id": "bigint!",
        "day": ["date!", {"accepted_range": {"min_value": "date '2000-01-01'"}}],
        "kind": "varchar",
    }
    names = {"day": r"_(\d{4}-\d\d-\d\d)", "kind": "(?i)^(big|small)?"}
    yard = Yard(tmp_path).source(columns=columns, filename_columns=names)
    for name in ("BIG_2023-07-21.csv", "x_2023-07-22.csv", "sub/small_2023-07-23.csv"):
        yard.deliver(name, "id\n1\n")
    for name in ("a_2023-02-30.csv", "b_1999-12-31.csv", "c.csv"):
        yard.deliver(name, "id\n1\n")
    yard.deliver("d_2023-07-21.csv", "id,day\n1,2023-07-21\n")
    yard.load()
    assert yard.raw("_file, day, kind") == [
        ("BIG_2023-07-21.csv", date(2023, 7, 21), "BIG"),
        ("sub/small_2023-07-23.csv", date(2023, 7, 23), "small"),
        ("x_2023-07-22.csv", date(2023, 7, 22), None),
    ]
    assert {
        name: yard.reason(name) for name, *_ in yard.ledger() if name[1] == "_" or name == "c.csv"
    } == {
        "a_2023-02-30.csv": "from its name: day is 2023-02-30, not a date that exists (YYYY-MM-DD)",
        "b_1999-12-31.csv": "from its name: day is 1999-12-31, below date '2000-01-01'",
        "c.csv": "from its name: day is missing",
        "d_2023-07-21.csv": "the header has day, which the contract takes from the file's name",
        "x_2023-07-22.csv": "same content as BIG_2023-07-21.csv",
    }


def test_the_name_says_the_format_when_the_contract_has_several(tmp_path: Path) -> None:
    yard = Yard(tmp_path).source(columns={"id": "bigint!"}, format=["csv", "jsonl"])
    yard.deliver("a.csv", "id\n1\n")
    yard.deliver("b.json.gz", gzip.compress(b'{"id": 2}\n'))
    yard.deliver("c.NDJSON", '{"id": 3}\n')
    yard.deliver("d.log", "id\n4\n")
    yard.load()
    assert yard.raw("id") == [(1,), (2,), (3,)]
    assert yard.reason("d.log") == ("its name does not say which of the formats csv, jsonl it has")


def test_a_file_delivered_twice_is_loaded_once(tmp_path: Path) -> None:
    yard = Yard(tmp_path).source()
    for status in ("loaded", "duplicate", "duplicate"):
        yard.deliver("a.csv", as_csv())
        yard.load()
        assert yard.ledger()[-1][1] == status
        assert len(yard.raw()) == 3
    assert yard.reason("a.csv") == "the same file was loaded as load 1"


def test_the_same_content_under_another_name_is_loaded_and_flagged(tmp_path: Path) -> None:
    yard = Yard(tmp_path).source()
    yard.deliver("a.csv", as_csv() + b"x,,\n")
    yard.load()
    yard.deliver("b.csv", as_csv() + b"x,,\n")
    yard.deliver("c.csv", b"id,name,amount\n9,,\n")
    yard.deliver("d.csv", b"id,name,amount\n9,,\n")
    yard.load()
    assert [row[1:] for row in yard.ledger()] == [("loaded", 3, 1)] * 2 + [("loaded", 1, 0)] * 2
    assert yard.reason("b.csv").startswith("same content as a.csv; 1 of 4 rows rejected: row 4: ")
    assert (yard.reason("c.csv"), yard.reason("d.csv")) == ("", "same content as c.csv")


def test_a_corrected_file_replaces_the_rows_of_the_one_before(tmp_path: Path) -> None:
    yard = Yard(tmp_path).source()
    yard.deliver("a.csv", "id,name,amount\n1,old,1\n2,old,1\nx,old,1\n")
    yard.deliver("b.csv", "id,name,amount\n7,kept,1\n")
    yard.load()
    yard.deliver("a.csv", "id,name,amount\n1,new,1\n")
    yard.load()
    assert yard.raw("id, name, _load_id") == [(7, "kept", 1), (1, "new", 2)]
    assert yard.ledger() == [
        ("a.csv", "replaced", 2, 1), ("b.csv", "loaded", 1, 0), ("a.csv", "loaded", 1, 0)
    ]  # fmt: skip
    assert yard.rows("select id, name, _replaced_by from lake.replaced.things order by id") == [
        (1, "old", 2), (2, "old", 2)
    ]  # fmt: skip


def test_the_last_delivery_of_a_name_wins_whatever_came_before(tmp_path: Path) -> None:
    yard = Yard(tmp_path).source()
    for name, status in (
        ("A", "loaded"),
        ("B", "loaded"),
        ("A", "loaded"),
        ("A", "duplicate"),
        ("B", "loaded"),
        ("C", "loaded"),
        ("A", "loaded"),
    ):
        yard.deliver("a.csv", f"id,name,amount\n1,{name},1\n")
        os.utime(yard.path("a.csv"), (1, ord(name)))  # renamed back, it has the time it had
        yard.load()
        assert yard.raw("name") == [(name,)]
        assert yard.ledger()[-1][1] == status
    assert [row[1] for row in yard.ledger()].count("loaded") == 1


def test_a_delivery_that_comes_back_is_loaded_when_the_original_is_no_longer_in_the_archive(
    tmp_path: Path,
) -> None:
    yard = Yard(tmp_path).source()
    for name in ("A", "B"):
        yard.deliver("a.csv", f"id,name,amount\n1,{name},1\n")
        yard.load()
    original = yard.settings.archive_folder / SOURCE / "1" / "a.csv"
    elsewhere = original.rename(tmp_path / "a.csv")
    yard.deliver("a.csv", "id,name,amount\n1,A,1\n")
    load(yard.settings, yard.contracts)
    elsewhere.rename(original)
    assert yard.raw("name, _load_id") == [("A", 3)]


@pytest.mark.parametrize(("policy", "status"), [("skip", "duplicate"), ("reject", "rejected")])
def test_a_copy_under_another_name_is_not_loaded_when_the_contract_says_so(
    tmp_path: Path, policy: str, status: str
) -> None:
    yard = Yard(tmp_path).source(same_content=policy)
    yard.deliver("a.csv", as_csv() + b"x,,\n")
    yard.load()
    for name in ("b.csv", "c.csv"):
        yard.deliver(name, as_csv() + b"x,,\n")
    yard.deliver("d.csv", b"id,name,amount\n9,,\n")
    yard.deliver("e.csv", b"id,name,amount\n9,,\n")
    yard.load()
    assert [row[:3] for row in sorted(yard.ledger())] == [
        ("a.csv", "loaded", 3),
        ("b.csv", status, 0),
        ("c.csv", status, 0),
        ("d.csv", "loaded", 1),
        ("e.csv", status, 0),
    ]
    assert yard.reason("b.csv") == f"same content as a.csv (same_content: {policy})"
    assert yard.reason("e.csv") == f"same content as d.csv (same_content: {policy})"


def test_a_copy_is_loaded_when_what_it_copies_is_replaced(tmp_path: Path) -> None:
    yard = Yard(tmp_path).source(same_content="skip")
    one, two = (f"id,name,amount\n{n},x,1\n" for n in (1, 2))
    yard.deliver("a.csv", one)
    yard.load()
    yard.deliver("a.csv", two)
    yard.deliver("b.csv", one)
    yard.load()
    assert yard.raw("_file, id") == [("a.csv", 2), ("b.csv", 1)]
    yard.deliver("b.csv", two)
    yard.load()
    assert yard.raw("_file, id") == [("a.csv", 2)], "of which b.csv is a copy now"
    yard.deliver("b.csv", one)
    yard.load()
    assert yard.raw("_file, id") == [("a.csv", 2), ("b.csv", 1)]


def test_a_corrected_file_that_is_refused_replaces_nothing(tmp_path: Path) -> None:
    yard = Yard(tmp_path).source()
    yard.deliver("a.csv", "id,name,amount\n1,old,1\n")
    yard.load()
    yard.deliver("a.csv", "id,nom,amount\n1,new,1\n")
    yard.load()
    assert yard.raw("name") == [("old",)]
    assert [row[1] for row in yard.ledger()] == ["loaded", "rejected"]


def test_another_content_is_appended_when_the_contract_says_so(tmp_path: Path) -> None:
    yard = Yard(tmp_path).source(redelivery="append")
    for name in ("old", "new", "old"):
        yard.deliver("a.csv", f"id,name,amount\n1,{name},1\n")
        yard.load()
    assert yard.raw("name, _load_id") == [("old", 1), ("new", 2)]
    assert [row[1] for row in yard.ledger()] == ["loaded", "loaded", "duplicate"]


def test_one_name_in_landing_and_in_the_sources_folder_is_two_deliveries(tmp_path: Path) -> None:
    yard = Yard(tmp_path).source(files="a*.csv")
    yard.deliver("a.csv", "id,name,amount\n1,folder,1\n")
    (yard.settings.landing_folder / "a.csv").write_text("id,name,amount\n1,landing,1\n")
    yard.load()
    assert len(yard.raw()) == 1
    assert sorted(row[1] for row in yard.ledger()) == ["loaded", "replaced"]
    yard.deliver("a2.csv", as_csv())
    shutil.copy(yard.path("a2.csv"), yard.settings.landing_folder / "a2.csv")
    yard.load()
    assert len(yard.raw()) == 1 + 3


def test_files_are_cut_into_batches_of_limited_size(tmp_path: Path) -> None:
    yard = Yard(tmp_path, batch_files=2).source()
    for n in range(5):
        yard.deliver(f"{n}.csv", f"id,name,amount\n{n},x,1\n")
    yard.load()
    assert yard.raw("id, _load_id") == [(0, 1), (1, 1), (2, 2), (3, 2), (4, 3)]


def test_only_the_named_source_is_loaded(tmp_path: Path) -> None:
    yard = Yard(tmp_path).source().source("others")
    yard.deliver("a.csv", as_csv())
    yard.deliver("a.csv", as_csv(), "others")
    yard.load("others", leaves=["things/a.csv"])
    assert len(yard.raw(source="others")) == 3
    with pytest.raises(UsageError, match="There is no source 'nobody'"):
        load(yard.settings, yard.contracts, sources=("things", "nobody"))


def test_nothing_to_load_is_fine(tmp_path: Path) -> None:
    yard = Yard(tmp_path).source()
    assert yard.load().sources == {}
    assert (yard.settings.landing_folder / SOURCE).is_dir(), "a person sees where files go"


def test_a_home_with_odd_characters_works(tmp_path: Path) -> None:
    folder = tmp_path / "it's “a” $home #1, 100% {x}" / "ünï"
    folder.mkdir(parents=True)
    yard = Yard(folder).source()
    yard.source("tables", format="parquet", files="*")
    yard.deliver("a.csv", as_csv() + b"x,,\n")
    yard.deliver("b.csv", 'id,name,amount\n1,"two\nlines",1\n')
    yard.deliver("a.parquet", as_parquet(), "tables")
    yard.load()
    assert (len(yard.raw()), len(yard.raw(source="tables"))) == (4, 3)
    assert yard.rejects()[0].text == "x,,"


@pytest.mark.parametrize(
    ("narrow", "text", "wide", "more", "values"),
    [
        ("integer", "7", "bigint", "5000000000", [7, 5000000000]),
        ("bigint", "7", "decimal(38,4)", "1.2345", [Decimal(7), Decimal("1.2345")]),
        ("decimal(9,2)", "1.50", "double", "1e300", [1.5, 1e300]),
        ("bigint", "7", "varchar", "007", ["7", "007"]),
        ("decimal(9,2)", "1.50", "varchar", "x", ["1.50", "x"]),
        ("date", "2024-01-02", "varchar", "x", ["2024-01-02", "x"]),
        ("date", "2024-01-02", "timestamp", "2024-01-02 10:00", [
            datetime(2024, 1, 2), datetime(2024, 1, 2, 10),
        ]),
    ],
)  # fmt: skip
def test_a_type_may_become_wider_and_no_narrower(
    tmp_path: Path, narrow: str, text: str, wide: str, more: str, values: list[Any]
) -> None:
    yard = Yard(tmp_path).source(columns={"it": narrow, "k": "bigint"})
    yard.deliver("a.csv", f"it,k\n{text},1\n")
    yard.deliver("b.csv", f"it,k\n{text},2\n")
    yard.load()
    yard.deliver("b.csv", "it,k\n")
    yard.load()
    yard.source(columns={"it": wide, "k": "bigint"})
    yard.deliver("c.csv", f"it,k\n{more},3\n")
    yard.load()
    assert yard.raw("it, k") == [(values[0], 1), (values[1], 3)]
    assert yard.rows("select it, k from lake.replaced.things") == [(values[0], 2)]
    yard.source(columns={"it": narrow, "k": "bigint"})
    with pytest.raises(ContractError) as caught:
        load(yard.settings, yard.contracts)
    told = f"table things: column it is {narrow} in the contract but {wide} in the lake"
    assert told in str(caught.value)


def test_a_type_does_not_become_one_that_some_value_does_not_fit(tmp_path: Path) -> None:
    yard = Yard(tmp_path).source(columns={"it": "bigint"})
    yard.deliver("a.csv", f"it\n{2**53 + 1}\n")
    yard.load()
    yard.source(columns={"it": "double"})
    with pytest.raises(ContractError, match="values that are not exact as double"):
        load(yard.settings, yard.contracts)
    yard.source(columns={"it": "bigint"}).load()
    assert yard.raw("it") == [(2**53 + 1,)]


def test_a_column_that_is_new_in_the_contract_is_added_to_the_table(tmp_path: Path) -> None:
    yard = Yard(tmp_path).source(columns={"id": "bigint"})
    yard.deliver("a.csv", "id\n1\n")
    yard.load()
    yard.source(columns={"id": "bigint", "name": "varchar"})
    yard.deliver("b.csv", "id,name\n2,x\n")
    yard.load()
    assert yard.raw("id, name") == [(1, None), (2, "x")]


def test_only_the_sources_that_are_asked_for_are_loaded(tmp_path: Path) -> None:
    yard = Yard(tmp_path)
    for name in ("one", "two", "three"):
        yard.source(name)
        yard.deliver("a.csv", "id,name,amount\n1,x,bad\n2,x,2\n", source=name)
    report = load(yard.settings, yard.contracts, sources=("one", "three"))
    assert set(report.sources) == {"one", "three"}
    assert {group.source for group in waiting(yard.settings).rows} == {"one", "three"}
    assert [group.source for group in waiting(yard.settings, ("three", "two")).rows] == ["three"]
    replayed = replay(yard.settings, yard.contracts, ("two",))
    assert set(replayed.sources) == {"two"}
    assert {problem.source for problem in replayed.problems} <= {"two"}
