"""What the loader does with files that are not as they should be.

Most faults are loaded together, with good files among them, in one run: a fault must not disturb
its neighbours. `Yard.load` checks for every file that nothing was lost.
"""

import bz2
import gzip
import io
import json
import os
import pkgutil
import random
import signal
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import pytest
from backports import zstd
from yards import SOURCE, Yard

from boathouse.ingest.content import digest
from boathouse.ingest.deliveries import Delivery
from boathouse.ingest.disposal import reason_path
from boathouse.ingest.loader import work_folder
from boathouse.ingest.reading import Job, Reading
from boathouse.ingest.report import LoadReport, Outcome
from boathouse.lake import Lake
from boathouse.sql import literal, path_literal

HEADER = "id,name,amount\n"
GOOD = HEADER + "1,x,1.5\n"
MIB = 1024 * 1024


@dataclass
class Fault:
    """A file, and what must become of it: a refusal, or rows and rejects."""

    content: bytes | str
    refused: str = ""
    rows: list[Any] = field(default_factory=list)
    rejects: dict[int, tuple[str, str]] = field(default_factory=dict)  # row: reason, text

    @property
    def data(self) -> bytes:
        return self.content.encode() if isinstance(self.content, str) else self.content


def as_zip(*members: tuple[str, bytes]) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        for name, data in members:
            archive.writestr(name, data)
    return target.getvalue()


def cut(data: bytes) -> bytes:
    return data[: len(data) * 2 // 3]


NOISE = "".join(f"{n},{random.Random(n).random()},1\n" for n in range(2000))
LARGE = (HEADER + "1,ünï,1\n" * (9 * MIB // 10)).encode()  # more than is read at once
BROKEN_LINE = LARGE.count(b"\n", 0, len(LARGE) // 2) + 1
UNCLOSED = 'id,name,amount\n1,x,1\n2,"never closed,1\n3,x,1\n'
WIDTH = "field{s}, the header 3"

CSV_FAULTS = {
    "empty.csv": Fault("", "the file is empty (0 bytes)"),
    "header-only.csv": Fault(HEADER),
    "header-without-end.csv": Fault(HEADER.rstrip()),
    "blank-first-line.csv": Fault("\n" + GOOD, "the first line, which should be the header, is"),
    "only-blank-lines.csv": Fault("\n\n\n", "the first line, which should be the header, is empty"),
    "no-header.csv": Fault("1,x,1.5\n2,y,2\n", "lacks id, name, amount; it has 1, x, 1_5"),
    "column-missing.csv": Fault("id,amount\n1,1\n", "the header lacks name; it has id, amount"),
    "column-doubled.csv": Fault("id,name,ID,amount\n1,x,1,1\n", "the header has id more than once"),
    "column-added.csv": Fault("id,name,amount,new\n1,x,1,1\n", "the header has new, which the"),
    "column-nameless.csv": Fault("id,name,,amount\n1,x,,1\n", "without a name (number 3)"),
    "wrong-delimiter.csv": Fault("id|name|amount\n1|x|1\n", "header lacks id, name"),
    "long-header.csv": Fault("a" * 300_000 + "\n1\n", "header lacks id, name, amount; it has"),
    "many-columns.csv": Fault(",".join(["a"] * 300_000), "lacks id, name, amount; it has"),
    "no-line-end.csv": Fault("x" * (2 * MIB), "the first line is longer than 1,048,576 bytes"),
    "cut.csv.gz": Fault(cut(gzip.compress(NOISE.encode())), "gzip archive is damaged or cut off"),
    "cut.csv.bz2": Fault(cut(bz2.compress(NOISE.encode())), "bzip2 archive is damaged or cut off"),
    "cut.csv.zst": Fault(cut(zstd.compress(NOISE.encode())), "Zstandard archive is damaged or cut"),
    "cut.csv.zip": Fault(cut(as_zip(("a.csv", NOISE.encode()))), "ZIP archive is damaged or cut"),
    "really-a.csv": Fault(as_zip(("a.csv", GOOD.encode())), "its content is a ZIP archive, but"),
    "not-really.csv.gz": Fault(GOOD, "not packed, but its name says it is a gzip archive; give it"),
    "empty.csv.gz": Fault(gzip.compress(b""), "the first line, which should be the header"),
    "climbs.csv.zip": Fault(as_zip(("../../a.csv", GOOD.encode())), "a path outside the archive"),
    "half-bad.csv.zip": Fault(
        as_zip(("a.csv", (GOOD * 50).encode()), ("b.csv", b"id,nom\n")), "the header lacks name"
    ),
    "folders.csv.zip": Fault(
        as_zip(("x/", b""), ("x/a.csv", GOOD.encode()), ("x/y/b.csv", b"id,name,amount\n2,y,x\n")),
        rows=[1],
        rejects={2: ("amount is x, not a finite number", "2,y,x")},
    ),
    "utf-16.csv": Fault(GOOD.encode("utf-16"), "is UTF-16, not UTF-8; say so in the contract"),
    "utf-16-unmarked.csv": Fault(GOOD.encode("utf-16-le"), "the text is UTF-16LE, not UTF-8"),
    "latin-1.csv": Fault(
        (HEADER + "1,Zoë,1\n").encode("latin-1"), "byte 0xEB at offset 19 (line 2); say"
    ),
    "broken-in-the-middle.csv": Fault(
        LARGE[: len(LARGE) // 2] + b"\xff" + LARGE[len(LARGE) // 2 :],
        f"byte 0xFF at offset {len(LARGE) // 2:,} (line {BROKEN_LINE:,})",
    ),
    "nul.csv": Fault(HEADER + "1,x,1\n2,a\0b,1\n", "a NUL byte at offset 24 (line 3)"),
    "unclosed.csv": Fault(UNCLOSED, "a quoted field that opens on line 3 is never closed"),
    "unclosed-even.csv": Fault(
        UNCLOSED + '4,"x",1\n5,"y,1\n', "a quoted field that opens on line 6 is never closed"
    ),
    "numbers.csv": Fault(
        HEADER + "99999999999999999999,x,1\n1,x,1e999\n2,x,NaN\n3,x,Infinity\n4,x,-1e308\n"
        "1.5,x,1\n",
        rows=[4],
        rejects={
            1: ("id is 99999999999999999999, not a whole number", "99999999999999999999,x,1"),
            2: ("amount is 1e999, not a finite number", "1,x,1e999"),
            3: ("amount is NaN, not a finite number", "2,x,NaN"),
            4: ("amount is Infinity, not a finite number", "3,x,Infinity"),
            6: ("id is 1.5, not a whole number", "1.5,x,1"),
        },
    ),
    "ragged.csv": Fault(
        HEADER + "1,x,1\n2,x\n3,x,1,extra\n4,x,1\n5\n6,a,b,c,d,e\n7,x,1,,\n8,,,,x\n",
        rows=[1, 4, 7],
        rejects={
            2: ("the record has 2 fields, the header 3", "2,x"),
            3: ("the record has 4 fields, the header 3", "3,x,1,extra"),
            5: ("the record has 1 field, the header 3", "5"),
            6: ("the record has 6 fields, the header 3", "6,a,b,c,d,e"),
            8: ("the record has 5 fields, the header 3", "8,,,,x"),
        },
    ),
    "ragged-and-quoted.csv": Fault(
        HEADER + '1,"a\nb",1\n2,x\n3,x,1,extra\n4,"x",1,,\n6,a,b,c,"d",e\n',
        rows=[1, 4],
        rejects={
            2: ("the record has 2 fields, the header 3", "2,x"),
            3: ("the record has 4 fields, the header 3", "3,x,1,extra"),
            5: ("the record has 6 fields, the header 3", '6,a,b,c,"d",e'),
        },
    ),
    "quotes.csv": Fault(
        HEADER + '1,"a"b,1\n2,a"b,1\n3,"a""b",1\n4,"x,y",1\n5, "z",1\n',
        rows=[2, 3, 4, 5],
        rejects={1: ("the quoting is broken: text goes on after a closing quote", '1,"a"b,1')},
    ),
    "quotes-plain.csv": Fault(
        HEADER + '1,"a"b,1\n3,"a""b",1\n4,"x,y",1\n',
        rows=[3, 4],
        rejects={1: ("the quoting is broken: text goes on after a closing quote", '1,"a"b,1')},
    ),
    "mixed-ends.csv": Fault(HEADER + "1,x,1\r\n2,x,1\n3,x,1\r4,x,1\r\nx,x,1\r\n", rows=[1, 2, 3, 4],
        rejects={5: ("id is x, not a whole number", "x,x,1")},
    ),
    "mixed-ends-quoted.csv": Fault(
        HEADER + '1,"x",1\r\n2,x,1\n3,x,1\r4,x,1\r\nx,"x",1\r\n', rows=[1, 2, 3, 4],
        rejects={5: ("id is x, not a whole number", 'x,"x",1')},
    ),
    "blank-lines.csv": Fault(
        HEADER + "\n1,x,1\n\n\r\n2,x,1\n  \nx,x,1\n\n", rows=[1, 2],
        rejects={
            3: ("the record has 1 field, the header 3", "  "),
            4: ("id is x, not a whole number", "x,x,1"),
        },
    ),
    "blank-lines-quoted.csv": Fault(
        HEADER + '\n"1",x,1\n\n\r\n2,x,1\n  \nx,x,1\n\n', rows=[1, 2],
        rejects={
            3: ("the record has 1 field, the header 3", "  "),
            4: ("id is x, not a whole number", "x,x,1"),
        },
    ),
    "all-empty.csv": Fault(HEADER + ",,\n", rejects={1: ("id is missing", ",,")}),
    "separator.csv": Fault(HEADER + "1,a\x01b,1\nx,a\x01b,1\n", rows=[1],
        rejects={2: ("id is x, not a whole number", "x,a\x01b,1")},
    ),
    "thousand-bad-rows.csv": Fault(
        HEADER + "1,x,1\n" + "x,x,1\n" * 1000,
        rows=[1],
        rejects=dict.fromkeys(range(2, 1002), ("id is x, not a whole number", "x,x,1")),
    ),
}  # fmt: skip

EVENT = '{"id": 1, "name": "x", "at": "2023-07-21T10:00:00Z"}'
NOT_AN_OBJECT = "the record is no valid JSON object"
DEEP = "[" * 200_000 + "]" * 200_000

JSONL_FAULTS = {
    "empty.jsonl": Fault("", "the file is empty (0 bytes)"),
    "white.jsonl": Fault(" \n\n\t\n", "there is nothing but white space in it"),
    "broken-lines.jsonl": Fault(
        f'{EVENT}\n{{"id": 2,\n5\n"text"\nnull\n[]\n{{}}x\n{EVENT}\n',
        rows=[1, 1],
        rejects={
            2: (NOT_AN_OBJECT, '{"id": 2,'),
            3: (NOT_AN_OBJECT, "5"),
            4: (NOT_AN_OBJECT, '"text"'),
            5: (NOT_AN_OBJECT, "null"),
            6: (NOT_AN_OBJECT, "[]"),
            7: (NOT_AN_OBJECT, "{}x"),
        },
    ),
    "values.jsonl": Fault(
        '{"id": 1e3}\n{"id": 99999999999999999999}\n{"id": NaN}\n{"id": true}\n{"id": "x"}\n'
        '{"id": 1, "at": "2023-02-30T10:00:00"}\n{"id": 2, "at": "infinity"}\n{"id": {"a": 1}}\n'
        '{"id": 3, "name": {"a": 1}}\n{"id": 4, "name": [1]}\n{"id": 5, "name": null}\n{}\n',
        rows=[1000, 5],
        rejects={
            2: ("id is 99999999999999999999, not a whole number", '{"id": 99999999999999999999}'),
            3: ("the record has NaN, Infinity or a comma too many", '{"id": NaN}'),
            4: ("id is true, not a whole number", '{"id": true}'),
            5: ("id is x, not a whole number", '{"id": "x"}'),
            6: ("at is 2023-02-30T10:00:00, not a time that exists",
                '{"id": 1, "at": "2023-02-30T10:00:00"}'),
            7: ("at is infinity, not a time that exists", '{"id": 2, "at": "infinity"}'),
            8: ('id is {"a":1}, not a whole number', '{"id": {"a": 1}}'),
            9: ("name is an object or array, not text", '{"id": 3, "name": {"a": 1}}'),
            10: ("name is an object or array, not text", '{"id": 4, "name": [1]}'),
            12: ("id is missing", "{}"),
        },
    ),
    "twice.jsonl": Fault(
        '{"id": 1, "ID": 2}\n{"id": 3, "id": 4}\n{"id": 5, "new": 1, "NEW": 2}\n'
        '{"id": 6, "new": 1, "new": 2}\n{"Id": 7, "New": 3}\n',
        rows=[7],
        rejects={
            1: ("id is given more than once", '{"id": 1, "ID": 2}'),
            2: ("id is given more than once", '{"id": 3, "id": 4}'),
            3: ("new is given more than once", '{"id": 5, "new": 1, "NEW": 2}'),
            4: ("new is given more than once", '{"id": 6, "new": 1, "new": 2}'),
        },
    ),
    "line-ends.jsonl": Fault(
        '\n{"id": 1}\r\n\r\n{"id": 2}\r{"id": 3}\n \t \n{"id":\r4}\n{"id": 5}',
        rows=[1, 2, 3, 5],
        rejects={4: (NOT_AN_OBJECT, '{"id":'), 5: (NOT_AN_OBJECT, "4}")},
    ),
    "control.jsonl": Fault(
        '{"id": 1, "name": "a\x01b"}\n{"id": 2, "name": "a\\u0000b"}\n'
        '{"id": 3, "name": "\\ud800"}\n',
        rows=[2],
        rejects={
            1: (NOT_AN_OBJECT, '{"id": 1, "name": "a\x01b"}'),
            3: (NOT_AN_OBJECT, '{"id": 3, "name": "\\ud800"}'),
        },
    ),
    "deep.jsonl": Fault(
        f'{EVENT}\n{{"id": 2, "name": {DEEP}}}\n{{"id": 3, "other": {DEEP}}}\n',
        rows=[1, 3],
        rejects={
            2: (
                "name is an object or array, not text",
                f'{{"id": 2, "name": {DEEP[:99982]} … (cut: 400,019 characters in the archived '
                "original)",
            )
        },
    ),
    "array.jsonl": Fault(f"[{EVENT}, 5]", rows=[1], rejects={2: (NOT_AN_OBJECT, "5")}),
    "nameless.jsonl": Fault(
        '{"id": 1, "": 2}\n{"id": 2, "!": 2}\n{"id": 3}\n',
        rows=[3],
        rejects={
            1: ("it has a field without a name", '{"id": 1, "": 2}'),
            2: ("it has a field without a name", '{"id": 2, "!": 2}'),
        },
    ),
    "latin-1.jsonl": Fault(b'{"id": 1, "name": "Zo\xeb"}', "the text is not UTF-8: byte 0xEB"),
}  # fmt: skip

JSON_FAULTS = {
    "cut-array.json": Fault(
        f"[{EVENT}, {EVENT}, {{", "it is not valid JSON: Expecting property name"
    ),
    "cut-after-comma.json": Fault(f"[{EVENT},", "it is not valid JSON: Expecting value at line 1"),
    "unclosed-array.json": Fault(
        f"[{EVENT}", "it is not valid JSON: expected ',' or ']' at line 1"
    ),
    "after-the-array.json": Fault(
        f"[{EVENT}]\nmore", "there is more after the array at line 2, col"
    ),
    "trailing-comma.json": Fault(
        f"[{EVENT},\n]", "not valid JSON: Expecting value at line 2, column"
    ),
    "white.json": Fault("  \n ", "there is nothing but white space in it"),
    "text.json": Fault("hello world", "it is not valid JSON: Expecting value at line 1, column 1"),
    "empty-array.json": Fault("[]"),
    "scalar.json": Fault("5", rejects={1: (NOT_AN_OBJECT, "5")}),
    "scalars.json": Fault(
        '[1, "a", null, {"id": 7}, [{"id": 8}]]',
        rows=[7],
        rejects={
            1: (NOT_AN_OBJECT, "1"),
            2: (NOT_AN_OBJECT, '"a"'),
            3: (NOT_AN_OBJECT, "null"),
            5: (NOT_AN_OBJECT, '[{"id": 8}]'),
        },
    ),
    "pretty.json": Fault(
        '[\n  {\n    "id": "x"\n  },\n  {"id": NaN},\n  {"id": 3}\n]',
        rows=[3],
        rejects={
            1: ("id is x, not a whole number", '{\n    "id": "x"\n  }'),
            2: ("the record has NaN, Infinity or a comma too many", '{"id": NaN}'),
        },
    ),
    "deep.json": Fault(
        f'[{{"id": 1, "name": {DEEP}}}]', "its JSON is nested too deeply to be read"
    ),
    "broken-first-line.json": Fault(
        f'{{"id": 9, "name\n{EVENT}\n{EVENT}\n',
        rows=[1, 1],
        rejects={1: (NOT_AN_OBJECT, '{"id": 9, "name')},
    ),
    "broken-last-line.json": Fault(
        f'{EVENT}\n{{"id": 9, "na', rows=[1], rejects={2: (NOT_AN_OBJECT, '{"id": 9, "na')}
    ),
    "utf-16.json": Fault(f"[{EVENT}]".encode("utf-16-le"), "the text is UTF-16LE, not UTF-8"),
}

TABLE_FAULTS = {
    "text.parquet": Fault(GOOD, "it cannot be read as Parquet file: "),
    "cut.parquet": Fault(b"", "it cannot be read as Parquet file: "),
    "empty.parquet": Fault(b"", "the file is empty (0 bytes)"),
    "columns.parquet": Fault(b"", "the header lacks name, amount; it has id, nom"),
}

FAULTS: dict[str, dict[str, Fault]] = {
    SOURCE: CSV_FAULTS,
    "events": JSONL_FAULTS,
    "documents": JSON_FAULTS,
    "tables": TABLE_FAULTS,
}
CASES = [(source, name) for source, faults in FAULTS.items() for name in faults]


def parquet(folder: Path, query: str) -> bytes:
    path = folder / "made.parquet"
    duckdb.connect().execute(f"copy ({query}) to '{path}' (format parquet)")
    return path.read_bytes()


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> "Loaded":
    """Load every faulty file in one run, good ones among them."""
    folder = tmp_path_factory.mktemp("faults")
    yard = Yard(folder).source()
    events = {"id": "bigint!", "name": "varchar", "at": "timestamp"}
    yard.source("events", columns=events, format="jsonl", new_columns="rescue")
    yard.source("documents", columns=events, format="json", new_columns="rescue")
    yard.source("tables", format="parquet")
    good = parquet(folder, "select range as id, 'x' as name, 1.5 as amount from range(1000)")
    TABLE_FAULTS["cut.parquet"].content = cut(good)
    TABLE_FAULTS["columns.parquet"].content = parquet(folder, "select 1 as id, 2 as nom")
    for source, faults in FAULTS.items():
        for name, fault in faults.items():
            yard.deliver(name, fault.data, source)
    for number in range(25):
        for source, text in {"things": GOOD, "events": EVENT, "documents": f"[{EVENT}]"}.items():
            yard.deliver(f"{'abcdefghijklmnopqrstuvwxyz'[number]}-good", text, source)
    yard.deliver("z-good", good, "tables")
    yard.load()
    return Loaded(yard)


class Loaded:
    """What became of the files, read once for all tests."""

    def __init__(self, yard: Yard) -> None:
        self.yard = yard
        self.ledger = {
            (source, name): rest
            for source, name, *rest in yard.rows(
                "select source, file_name, status, rows_loaded, rows_rejected, reason "
                "from lake.meta.loads"
            )
        }
        self.rows = {
            (source, name): ids
            for source in FAULTS
            for name, ids in yard.rows(
                f"select _file, list(id order by _row) from lake.raw.{source} group by _file"
            )
        }
        self.rejects: dict[tuple[str, str], dict[int, tuple[str, str]]] = {}
        for source, name, row, reasons, text in yard.rows(
            "select source, file_name, row_number, reasons, raw_row from lake.meta.rejected_rows"
        ):
            self.rejects.setdefault((source, name), {})[row] = ("; ".join(reasons), text)


@pytest.mark.parametrize(("source", "name"), CASES)
def test_a_faulty_file_ends_where_it_should(loaded: Loaded, source: str, name: str) -> None:
    fault = FAULTS[source][name]
    status, rows_loaded, rows_rejected, reason = loaded.ledger[source, name]
    if fault.refused:
        assert (status, rows_loaded, rows_rejected) == ("rejected", 0, 0)
        assert fault.refused in reason
        note = json.loads(reason_path(loaded.yard.rejected_file(name, source)).read_text())
        assert note["reason"] == reason
        return
    assert status == "loaded", reason
    assert loaded.rows.get((source, name), []) == fault.rows
    rejects = loaded.rejects.get((source, name), {})
    assert sorted(rejects) == sorted(fault.rejects)
    for row, (telling, text) in fault.rejects.items():
        assert telling in rejects[row][0]
        assert rejects[row][1] == text
    if fault.rejects:
        assert f"{len(fault.rejects):,} of " in reason


@pytest.mark.parametrize("source", list(FAULTS))
def test_the_good_files_among_the_faulty_ones_are_loaded(loaded: Loaded, source: str) -> None:
    good = [
        rest for (of, name), rest in loaded.ledger.items() if (of, name[1:]) == (source, "-good")
    ]
    assert len(good) == (1 if source == "tables" else 25)
    assert {tuple(rest[:3]) for rest in good} == {("loaded", 1000 if source == "tables" else 1, 0)}


def test_a_control_character_in_json_text_is_kept(loaded: Loaded) -> None:
    found = loaded.yard.rows("select name from lake.raw.events where _file = 'control.jsonl'")
    assert found == [("a\0b",)]


# -- very long records ---------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_a_line_of_100_megabytes_is_one_rejected_row(tmp_path: Path, kind: str) -> None:
    yard = Yard(tmp_path).source(format=kind)
    long = "y" * 100_000_000
    if kind == "csv":
        line = f'2,"{long}",1'
        yard.deliver("a.csv", f"{HEADER}1,x,1\n{line}\n3,z,x\n4,z,1\n")
    else:
        line = f'{{"id": 2, "name": "{long}"}}'
        yard.deliver("a.jsonl", f'{{"id": 1}}\n{line}\n{{"id": "x"}}\n{{"id": 4}}\n')
    yard.deliver("b", GOOD if kind == "csv" else '{"id": 1}\n')
    yard.load()
    assert yard.raw("id") == [(1,), (4,), (1,)]
    long_one, bad_one = yard.rejects()
    assert long_one.row == 2
    assert long_one.reasons == [
        f"the record is {len(line):,} characters long, more than the limit of 16,777,216 "
        "(BOATHOUSE_MAX_RECORD_BYTES)"
    ]
    assert long_one.text.startswith(line[:100_000] + " … (cut: 100,0")
    assert catalogue_bytes(yard) < 10 * MIB, "the catalogue must not grow with a long text"
    assert bad_one.row == 3


def catalogue_bytes(yard: Yard) -> int:
    return sum(path.stat().st_size for path in yard.settings.home_folder.glob("catalog.sqlite*"))


def test_a_long_record_in_a_json_document_is_one_rejected_row(tmp_path: Path) -> None:
    yard = Yard(tmp_path, max_record_bytes=50).source(columns={"id": "bigint"}, format="json")
    yard.deliver("a.json", '[{"id": 1}, {"id": 2, "x": "' + "y" * 50 + '"}, {"id": 3}]')
    yard.load()
    assert yard.raw("id") == [(1,), (3,)]
    assert "the record is 68 characters long" in yard.rejects()[0].reasons[0]


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_a_record_as_long_as_the_limit_is_loaded(tmp_path: Path, kind: str) -> None:
    yard = Yard(tmp_path, max_record_bytes=100).source(
        format=kind, columns={"id": "bigint", "x": "varchar"}
    )
    if kind == "csv":
        yard.deliver("a", "id,x\n1," + "y" * 97 + "\n2," + "y" * 99 + "\n")
    else:
        yard.deliver("a", '{"id":1,"x":"' + "y" * 84 + '"}\n{"id":2,"x":"' + "y" * 90 + '"}\n')
    yard.load()
    assert yard.raw("id") == [(1,)]
    assert [reject.row for reject in yard.rejects()] == [2]


# -- names ---------------------------------------------------------------------------------

NAMES = [
    "with space.csv",
    "it's.csv",
    'say "x".csv',
    "two\nlines.csv",
    "ünï €😀.csv",
    "[1]*?.csv",
    "{a,b}$HOME`x`;rm.csv",
    "back\\slash.csv",
    "--source.csv",
    "semi;colon,comma.csv",
    "sub folder/[x]/a.csv",
    "ü" * 125 + ".csv",
    "a" * 251 + ".csv",
]


@pytest.fixture(scope="module")
def named(tmp_path_factory: pytest.TempPathFactory) -> Yard:
    """Return a yard with a good and a refused file of every odd name."""
    yard = Yard(tmp_path_factory.mktemp("names")).source(files="*").source("refused", files="*")
    for number, name in enumerate(NAMES):
        yard.deliver(name, f"{HEADER}{number},x,1\nx,x,1\n")
        yard.deliver(name, f"id\n{number}\n", "refused")
    landing = os.fsencode(yard.settings.landing_folder)
    for source, text in ((SOURCE, HEADER + "1,x,1\nx,x,1\n"), ("refused", "id\n")):
        with open(landing + os.fsencode(f"/{source}/") + b"no-utf8-\xff\xfe.csv", "w") as file:  # noqa: PTH123
            file.write(text)
    yard.load()
    return yard


def test_a_file_may_have_any_name(named: Yard) -> None:
    names = sorted([*NAMES, "no-utf8-\\xff\\xfe.csv"])
    assert named.ledger() == [(name, "loaded", 1, 1) for name in names]
    assert named.ledger("refused") == [(name, "rejected", 0, 0) for name in names]
    assert [name for (name,) in named.raw("_file")] == names
    for name in names:
        assert named.rejected_file(name, "refused").is_file()


def test_a_refused_file_with_any_name_can_be_replayed(named: Yard) -> None:
    named.source("refused", files="*", columns={"id": "bigint"})
    named.replay()
    assert len(named.raw(source="refused")) == len(NAMES)
    assert not any(named.settings.rejected.rglob("*.csv"))


# -- links, folders, pipes -----------------------------------------------------------------


def test_links_and_pipes_are_refused_and_folders_are_entered(tmp_path: Path) -> None:
    yard = Yard(tmp_path).source(files="*.csv")
    secret = tmp_path / "secret.csv"
    secret.write_text(GOOD)
    yard.path("link.csv").symlink_to(secret)
    yard.path("nowhere.csv").symlink_to("nowhere")
    yard.path("folder.csv").symlink_to(tmp_path)
    os.mkfifo(yard.path("pipe.csv"))
    yard.deliver("directory.csv/a.csv", GOOD)
    yard.path("empty.csv").mkdir()
    yard.load()
    assert {name: status for name, status, *_ in yard.ledger()} == {
        "directory.csv/a.csv": "loaded",
        "folder.csv": "rejected",
        "link.csv": "rejected",
        "nowhere.csv": "rejected",
        "pipe.csv": "rejected",
    }
    assert yard.reason("link.csv").startswith("is a symbolic link, which is never followed; put")
    assert yard.reason("pipe.csv") == "is no regular file"
    assert yard.rejected_file("link.csv").is_symlink()
    assert secret.read_text() == GOOD


# -- files that are not finished -----------------------------------------------------------


@contextmanager
def writer(path: Path) -> Iterator[None]:
    """Hold a file open for writing in another process."""
    script = "import sys; f = open(sys.argv[1], 'a'); print('open', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-S", "-c", script, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "open\n"
        try:
            yield
        finally:
            process.send_signal(signal.SIGKILL)


def test_files_still_being_written_are_left_alone_and_loaded_later(tmp_path: Path) -> None:
    yard = Yard(tmp_path).source()
    held = yard.deliver("held.csv", GOOD)
    yard.deliver("a.csv.part", "id,na")
    yard.deliver("good.csv", GOOD)
    with writer(held):
        report = yard.load(leaves=["things/held.csv", "things/a.csv.part"])
    assert sorted(report.left_alone) == ["things/a.csv.part", "things/held.csv"]
    assert [row[0] for row in yard.ledger()] == ["good.csv"]
    yard.path("a.csv.part").rename(yard.path("a.csv"))
    yard.deliver("a.csv", GOOD)
    yard.load()
    assert sorted(row[0] for row in yard.ledger()) == ["a.csv", "good.csv", "held.csv"]


def change_when(monkeypatch: pytest.MonkeyPatch, place: str, change: Any) -> None:
    """Do something to the world once, right after a function of the loader has run."""
    module, _, name = place.rpartition(".")
    owner = pkgutil.resolve_name(module)
    real = getattr(owner, name)
    done = []

    def meddling(*args: Any, **kwargs: Any) -> Any:
        result = real(*args, **kwargs)
        if not done:
            done.append(True)
            change()
        return result

    monkeypatch.setattr(owner, name, meddling)


def grow(path: Path) -> None:
    with path.open("a") as file:
        file.write("2,more,1\n")


PLACES = {
    "after it was hashed": "boathouse.ingest.loader.digest",
    "while it is read": "boathouse.ingest.csv_reader.examine",
    "after it was read": "boathouse.ingest.reading.Reading._read_parts",
}


@pytest.mark.usefixtures("read_here")
@pytest.mark.parametrize("place", list(PLACES))
@pytest.mark.parametrize("change", [grow, Path.unlink], ids=["changed", "removed"])
@pytest.mark.parametrize("is_large", [False, True], ids=["small", "large"])
def test_a_file_that_is_changed_or_removed_while_it_is_loaded_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str, change: Any, is_large: bool
) -> None:
    if is_large:
        monkeypatch.setattr("boathouse.ingest.content.SMALL", 10)
        monkeypatch.setattr("boathouse.ingest.content.PIECE", 20)
    yard = Yard(tmp_path).source()
    path = yard.deliver("a.csv", GOOD)
    yard.deliver("b.csv", GOOD)
    with monkeypatch.context() as meddled:
        change_when(meddled, PLACES[place], lambda: change(path))
        report = yard.load(leaves=["things/a.csv"] if change is grow else [])
    assert report.left_alone == ["things/a.csv"]
    assert [row[0] for row in yard.ledger()] == ["b.csv"]
    yard.load()
    if change is grow:
        assert yard.raw("_file, id") == [("b.csv", 1), ("a.csv", 1), ("a.csv", 2)]


@pytest.mark.usefixtures("read_here")
@pytest.mark.parametrize("change", [grow, Path.unlink], ids=["changed", "removed"])
def test_a_file_that_changes_before_it_is_read_again_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Any
) -> None:
    # DuckDB is given line breaks in quotes: its count differs, and the file is read once more.
    monkeypatch.setattr("boathouse.ingest.csv_reader.has_quoted_fields_only", lambda *_: True)
    monkeypatch.setattr("boathouse.ingest.content.SMALL", 10)
    yard = Yard(tmp_path).source()
    path = yard.deliver("a.csv", HEADER + '1,"two\nlines",1\n')
    yard.deliver("b.csv", GOOD)
    with monkeypatch.context() as meddled:
        change_when(meddled, "boathouse.ingest.parser.Parser.forget", lambda: change(path))
        report = yard.load(leaves=["things/a.csv"] if change is grow else [])
    assert report.left_alone == ["things/a.csv"]
    assert yard.ledger() == [("b.csv", "loaded", 1, 0)]


@pytest.mark.usefixtures("read_here")
def test_what_duckdb_splits_in_another_way_is_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("boathouse.ingest.csv_reader.has_quoted_fields_only", lambda *_: True)
    yard = Yard(tmp_path).source()
    yard.deliver("a.csv", HEADER + '1,"two\nlines",1\n')
    yard.deliver("b.csv", GOOD)
    yard.load()
    assert yard.raw("_file, name") == [("a.csv", "two\nlines"), ("b.csv", "x")]


def test_a_file_that_changes_between_commit_and_archive_is_a_new_delivery(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    yard = Yard(tmp_path).source(redelivery="append")
    path = yard.deliver("a.csv", GOOD)
    with monkeypatch.context() as meddled:
        change_when(meddled, "boathouse.ingest.loader.commit", lambda: grow(path))
        with pytest.raises(FileNotFoundError, match="archive"):
            yard.load()  # the original is gone, and the check of all promises says so
    assert path.exists()
    load_again(yard)
    assert yard.raw("id, _load_id") == [(1, 1), (1, 2), (2, 2)]


def load_again(yard: Yard) -> LoadReport:
    from boathouse.ingest.loader import load

    return load(yard.settings, yard.contracts)


# -- disposal ------------------------------------------------------------------------------


def test_rejects_of_one_name_are_all_kept(tmp_path: Path) -> None:
    yard = Yard(tmp_path).source()
    for column in ("a", "b", "c"):
        yard.deliver("x.csv", f"id,{column}\n")
        yard.load()
    kept = {
        p.relative_to(yard.settings.rejected / SOURCE).as_posix(): p.read_text()
        for p in yard.settings.rejected.rglob("x.csv")
    }
    assert kept == {
        ".earlier/1/x.csv": "id,a\n", ".earlier/2/x.csv": "id,b\n", "x.csv": "id,c\n"
    }  # fmt: skip


def test_a_refused_file_delivered_again_is_told_once_in_the_ledger(tmp_path: Path) -> None:
    yard = Yard(tmp_path).source().source("strict", bad_rows="reject_file")
    for _ in range(3):
        yard.deliver("x.csv", "id\n")
        yard.deliver("x.csv", HEADER + "x,x,1\n", "strict")
        report = yard.load()
        assert report.sources[SOURCE].files_rejected == 1
    assert len(yard.ledger()) == 1
    assert len(yard.ledger("strict")) == 1


def test_a_corrected_delivery_sets_the_refused_one_aside(tmp_path: Path) -> None:
    yard = Yard(tmp_path).source().source("kept", redelivery="append")
    for source in (SOURCE, "kept"):
        yard.deliver("x.csv", "id\n", source)
    yard.load()
    for source in (SOURCE, "kept"):
        yard.deliver("x.csv", GOOD, source)
    yard.load()
    assert not yard.rejected_file("x.csv").exists()
    assert yard.rejected_file(".earlier/2/x.csv").read_text() == "id\n"
    assert yard.rejected_file("x.csv", "kept").exists(), "with append, both were meant"


def test_record_that_was_counted_and_is_gone_before_the_commit_stops_the_load(
    tmp_path: Path,
) -> None:
    yard = Yard(tmp_path).source(format="parquet")
    path = tmp_path / "a.parquet"
    query = "select range as id, 'x' as name, 1.5 as amount from range(2)"
    duckdb.execute(f"copy ({query}) to {path_literal(path)} (format parquet)")
    status = path.stat()
    file = Delivery(SOURCE, path, path.name, status.st_size, status.st_mtime_ns)
    outcome = Outcome(file, digest(file), "loaded")
    with duckdb.connect() as con, work_folder(yard.settings) as work:
        job = Job(yard.contracts[SOURCE], yard.settings, work, {0: outcome})
        reading = Reading(Lake(con), job)
        reading.collect()
        # What DuckDB has read of the file, before the contract is laid upon it.
        [kept] = work.glob("table-*.parquet")
        con.execute(f"create table kept as from {literal(str(kept))} limit 1")
        con.execute(f"copy kept to {literal(str(kept))} (format parquet)")
        with pytest.raises(AssertionError, match="2 records were counted but 1 were read"):
            reading.parse()
