"""Whatever a column is called, it is data and nothing else."""

import json
from pathlib import Path

import pytest
from yards import Yard

from boathouse.contracts import RESERVED
from boathouse.errors import ContractError

NAMES = [
    "rowid", "row_id", "ROWID", "_row", "_file", "_load_id", "_extra", "filename",
    "file_row_number", "change_type",
    "snapshot_id", "begin_snapshot", "end_snapshot", "select", "order", "on", "No",
    "1960", "2013_pop", "1e3", "2024-01-01", "x" * 300, "a,b", 'say "hi"', "dot.dot", "two words",
    "größe", "日本", "c0", "_t0", "doc", "object", "texts", "parsed", "records", "text", "id", "$",
    "%s",
    "{x}", "a'b", "null", "true", "a/b~c", "line\nbreak", "\\", "column0", "file_index", "-", " x ",
]  # fmt: skip


def as_csv(header: str, value: str) -> str:
    quoted = header.replace('"', '""')
    return f'k,"{quoted}"\n1,{value}\n2,x\n'


KINDS = ("csv", "json", "jsonl")


def as_kind(kind: str, name: str, value: str) -> str:
    """Return two records in a format: under the name, one has the value and the other x."""
    records = [{"k": 1, name: value}, {"k": 2, name: "x"}]
    return {
        "csv": as_csv(name, value),
        "json": json.dumps(records),
        "jsonl": "".join(f"{json.dumps(each, ensure_ascii=False)}\n" for each in records),
    }[kind]


@pytest.mark.parametrize("new_columns", ["reject", "rescue"])
def test_a_column_may_have_any_name_in_the_file(tmp_path: Path, new_columns: str) -> None:
    yard = Yard(tmp_path)
    sources = {f"s{number}": name for number, name in enumerate(NAMES)}
    for source, name in sources.items():
        columns = {"k": "bigint!", "it": f"varchar from {json.dumps(name)}"}
        yard.source(source, columns, format=list(KINDS), new_columns=new_columns)
        for file in ("a", "b"):
            for kind in KINDS:
                yard.deliver(f"{file}.{kind}", as_kind(kind, name, file), source)
    yard.load()
    found = yard.rows_of("_file, _row, k, it", sources)
    expected = [
        (f"{file}.{kind}", row, row, value)
        for file in ("a", "b")
        for kind in KINDS
        for row, value in ((1, file), (2, "x"))
    ]
    wrong = {name: found[source] for source, name in sources.items() if found[source] != expected}
    reasons = yard.rows("select source, file_name, reason from lake.meta.loads where reason > ''")
    assert wrong == {}, reasons
    for kind in KINDS:
        yard.deliver(f"a.{kind}", as_kind(kind, "rowid", "new"), "s0")
    yard.load()
    again = [(f"a.{kind}", value) for kind in KINDS for value in ("new", "x")]
    assert yard.raw("_file, it", "s0") == [row[0::3] for row in expected[len(again) :]] + again


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_a_new_column_may_have_any_name(tmp_path: Path, kind: str) -> None:
    yard = Yard(tmp_path)
    for new_columns in ("add", "rescue"):
        yard.source(new_columns, {"k": "bigint!"}, format=kind, new_columns=new_columns)
        for number, name in enumerate(NAMES):
            yard.deliver(f"{number}.{kind}", as_kind(kind, name, "a"), new_columns)
    yard.load()
    reasons = dict[tuple[str, str], list[str]]()
    for source, file, reason in yard.rows(
        "select source, file_name, reason from lake.meta.loads where reason > '' union all "
        "select source, file_name, reasons::varchar from lake.meta.rejected_rows"
    ):
        reasons.setdefault((source, file), []).append(reason)
    for new_columns in ("add", "rescue"):
        query = f"select _file, to_json(t)::varchar from lake.raw.{new_columns} as t where k = 1"
        rows = dict(yard.rows(query))
        for number, name in enumerate(NAMES):
            file = f"{number}.{kind}"
            said = reasons.get((new_columns, file), [])
            is_there = '"a"' in rows.get(file, "").replace("\\", "")
            is_said = any("name" in reason for reason in said)
            assert is_there != is_said, (name, new_columns, rows.get(file), said)


@pytest.mark.parametrize("name", RESERVED)
def test_a_name_that_the_lake_cannot_keep_is_refused_with_the_way_out(
    tmp_path: Path, name: str
) -> None:
    yard = Yard(tmp_path).source(columns={name: "bigint"})
    with pytest.raises(ContractError, match=f"{name} is reserved by the lake") as caught:
        yard.load()
    assert f"from: {name}" in str(caught.value.hint)


def test_a_header_that_comes_twice_or_is_missing_is_named_by_its_place(tmp_path: Path) -> None:
    columns = {
        "line": "bigint from 1",
        "first": "varchar from {header: x, position: 2}",
        "second": "varchar from {header: X, position: 3}",
        "y": "varchar",
    }
    yard = Yard(tmp_path).source(columns=columns)
    yard.deliver("a.csv", ",x,x,y\n1,a,b,c\n")
    yard.deliver("b.csv", ",x,z,y\n1,a,b,c\n")
    yard.load()
    assert yard.raw('line, "first", "second", y') == [(1, "a", "b", "c")]
    assert yard.reason("b.csv") == (
        'the header lacks second (from: "X" in column 3); it has line, first, z, y'
    )


def test_a_column_of_another_name_is_not_taken_for_the_one_it_is_called_like(
    tmp_path: Path,
) -> None:
    columns = {"id": "bigint from rowid"}
    yard = Yard(tmp_path).source(columns=columns, format=["csv", "jsonl"], new_columns="rescue")
    yard.deliver("a.csv", "id,rowid\n1,2\n")
    yard.deliver("b.csv", "id\n1\n")
    yard.deliver("c.jsonl", '{"id": 1, "rowid": 2}\n{"id": 1}\n')
    yard.load()
    assert yard.raw("_file, id, _extra::varchar") == [
        ("a.csv", 2, '{"id_in_file":"1"}'),
        ("c.jsonl", 2, '{"id_in_file":1}'),
        ("c.jsonl", None, '{"id_in_file":1}'),
    ]
    assert yard.reason("b.csv") == 'the header lacks id (from: "rowid"); it has id_in_file'


@pytest.mark.parametrize("given", ["[1]", "{head: x}", "-1", "{position: x}", "true"])
def test_what_is_no_place_in_a_header_is_refused(tmp_path: Path, given: str) -> None:
    yard = Yard(tmp_path).source(columns={"it": f"bigint from {given}"})
    with pytest.raises(ContractError, match="from must be a header"):
        yard.load()
