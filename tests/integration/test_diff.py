"""What `boathouse diff` says is what differs, for any rows, in any order, with or without a key."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb
import houses
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from support.command import House

from boathouse import environments
from boathouse.build import run_build
from boathouse.diff import DiffReport, MartDiff, Side, compare, find_side
from boathouse.diff.compare import DiffError
from boathouse.errors import UsageError
from boathouse.release import release
from boathouse.settings import Settings


def file(path: Path, *statements: str, key: Sequence[str] = ()) -> Path:
    """Write a file with marts; `key` is that of the mart m."""
    path.unlink(missing_ok=True)
    with duckdb.connect(str(path)) as con:
        con.execute("create schema marts")
        con.execute("create schema meta")
        con.execute("create table meta.keys (mart varchar, unique_columns varchar[])")
        if key:
            con.execute("insert into meta.keys values ('m', ?)", [list(key)])
        for statement in statements:
            con.execute(statement)
    return path


def differences(settings: Settings, a: Path, b: Path, **options: Any) -> DiffReport:
    return compare(settings, Side("a", "a", a, None), Side("b", "b", b, None), **options)


def only_mart(report: DiffReport) -> MartDiff:
    (mart,) = report.marts
    return mart


def test_rows_added_gone_and_changed_are_found_by_key(settings: Settings, tmp_path: Path) -> None:
    a = file(
        tmp_path / "a.duckdb",
        "create table marts.m (id integer, day date, name varchar, amount double, tags varchar[])",
        "insert into marts.m values (1, null, 'one', 'nan', ['x']), "
        "(2, '2026-01-01', 'two', 2, []), (2, '2026-01-02', null, 2, null), "
        "(3, null, 'three', 3, ['y', null]), (4, null, 'gone', 4, null)",
        key=("id", "day"),
    )
    b = file(
        tmp_path / "b.duckdb",
        "create table marts.m (tags varchar[], amount double, name varchar, day date, id integer)",
        "insert into marts.m values (null, 5, 'added', null, 5), "
        "(['y', null], null, 'three', null, 3), ([], 2, 'TWO', '2026-01-01', 2), "
        "(['x'], 'nan', 'one', null, 1), (null, 2, 'now', '2026-01-02', 2)",
        key=("id", "day"),
    )
    mart = only_mart(differences(settings, a, b))
    assert mart.key == ("id", "day")
    assert (mart.rows_a, mart.rows_b) == (5, 5)
    assert (mart.rows_added, mart.rows_gone, mart.rows_changed) == (1, 1, 3)
    assert [row["name"] for row in (*mart.added, *mart.gone)] == ["added", "gone"]
    name, amount = mart.columns
    assert (name.name, name.rows_changed, amount.name, amount.rows_changed) == (
        *("name", 2),
        *("amount", 1),
    )
    assert [(s.key, s.before, s.after) for s in name.samples] == [
        ({"id": "2", "day": "2026-01-01"}, "two", "TWO"),
        ({"id": "2", "day": "2026-01-02"}, None, "now"),
    ]
    assert (amount.samples[0].before, amount.samples[0].after) == ("3.0", None)
    assert not mart.has_schema_changes, "the order of columns is no change"
    back = only_mart(differences(settings, b, a))
    assert (back.rows_added, back.rows_gone, back.rows_changed) == (1, 1, 3)


def test_what_is_said_to_be_a_key_and_is_not_one_is_not_used(
    settings: Settings, tmp_path: Path
) -> None:
    made = "create table marts.m as select 1 as id, unnest([{}]) as v"
    a = file(tmp_path / "a.duckdb", made.format("1, 1, 2"), key=["id"])
    b = file(tmp_path / "b.duckdb", made.format("2, 1, 3"), key=["id"])
    mart = only_mart(differences(settings, a, b))
    assert (mart.key, mart.key_note) == ((), "what is said to be its key is not one")
    assert (mart.rows_added, mart.rows_gone, mart.rows_changed) == (1, 1, 0)
    assert mart.added == ({"id": "1", "v": "3"},) and mart.gone == ({"id": "1", "v": "1"},)


def test_columns_marts_and_macros_that_changed_are_named(
    settings: Settings, tmp_path: Path
) -> None:
    a = file(
        tmp_path / "a.duckdb",
        "create table marts.m as select 1 as id, 10 as n, '7' as t, date '2026-01-01' as d, "
        "0 as old",
        "create table marts.left_out as select 1 as one",
        "create macro marts.f(x) as x + 1",
        "create macro marts.same(x) as table select x as y",
        key=["id"],
    )
    b = file(
        tmp_path / "b.duckdb",
        "create table marts.m as select 1::bigint as id, 10.0::double as n, 7 as t, "
        "timestamp '2026-01-01' as d, 'x' as new",
        "create table marts.one_more as select 1 as one",
        "create macro marts.f(x) as x + 2",
        "create macro marts.same(x) as table select x as y",
        key=["id"],
    )
    marts = {mart.name: mart for mart in differences(settings, a, b).marts}
    assert marts["left_out"].presence == "only in a" and marts["one_more"].presence == "only in b"
    assert marts["one_more"].rows_b == 1 and marts["one_more"].rows_a is None
    assert marts["f"].is_redefined and not marts["f"].is_equal and marts["same"].is_equal
    mart = marts["m"]
    assert (mart.columns_added, mart.columns_gone) == (("new",), ("old",))
    assert {each.name for each in mart.columns_retyped} == {"id", "n", "t", "d"}
    assert not mart.has_row_changes, "7 is 7 in any type"


def test_without_samples_the_counts_are_the_same(settings: Settings, tmp_path: Path) -> None:
    made = "create table marts.m as select i as id, i % {} as v from range({}) r(i)"
    a = file(tmp_path / "a.duckdb", made.format(7, 100), key=["id"])
    b = file(tmp_path / "b.duckdb", made.format(5, 120), key=["id"])
    many, none = (only_mart(differences(settings, a, b, limit=n)) for n in (4, 0))
    assert len(many.added) == len(many.columns[0].samples) == 4
    assert none.added == () and none.columns[0].samples == ()
    assert none == replace(many, added=(), gone=(), columns=(replace(many.columns[0], samples=()),))


VALUES = st.sampled_from([None, "", "a", "b"])
NUMBERS = st.sampled_from([None, float("nan"), 0.0, -0.0, 1.5, float("inf")])
ROWS = st.lists(st.tuples(st.sampled_from([None, 1, 2, 3]), VALUES, NUMBERS), max_size=6)


def plain(row: Sequence[Any]) -> tuple[str, ...]:
    """Return a row so that equal is what SQL calls not distinct."""
    return tuple(
        "nan" if value != value else repr(value + 0 if isinstance(value, float) else value)
        for value in row
    )


def literal_row(row: Sequence[Any]) -> str:
    number = "null" if row[2] is None else f"'{row[2]}'::double"
    return f"({row[0] or 'null'}, {'null' if row[1] is None else repr(row[1])}, {number})"


@given(before=ROWS, after=ROWS, is_keyed=st.booleans())
@hypothesis_settings(max_examples=60)
def test_counts_are_those_of_a_plain_comparison(
    before: list[Any], after: list[Any], is_keyed: bool
) -> None:
    if is_keyed:
        before, after = (list({row[0]: row for row in rows}.values()) for rows in (before, after))
    with TemporaryDirectory() as folder:
        paths = [
            file(
                Path(folder) / f"{name}.duckdb",
                "create table marts.m (k integer, t varchar, n double)",
                *(f"insert into marts.m values {literal_row(row)}" for row in rows),
                key=["k"] if is_keyed else [],
            )
            for name, rows in (("a", before), ("b", after))
        ]
        mart = only_mart(differences(Settings(home=Path(folder)), *paths))
    if is_keyed:
        a, b = ({row[0]: plain(row) for row in rows} for rows in (before, after))
        both = a.keys() & b.keys()
        expected = (
            len(b.keys() - a.keys()),
            len(a.keys() - b.keys()),
            sum(a[key] != b[key] for key in both),
        )
    else:
        a_all, b_all = (Counter(map(plain, rows)) for rows in (before, after))
        expected = ((b_all - a_all).total(), (a_all - b_all).total(), 0)
    assert (mart.rows_added, mart.rows_gone, mart.rows_changed) == expected
    assert mart.is_equal == (expected == (0, 0, 0))


def test_releases_environments_and_files_can_be_named(house: Settings, tmp_path: Path) -> None:
    release(house)
    environments.create(house, "dev")
    with pytest.raises(UsageError, match="Nothing was released in dev"):
        find_side(house, "dev")
    inside = Settings(project=house.project, home=house.home, env="dev")
    houses.add_events(inside, houses.sessions(range(60, 62)))
    run_build(
        inside, select=["source:raw.session_events+"], exclude=["resource_type:unit_test"]
    ).require_green()
    houses.execute(
        inside, "update lake.marts.fct_sessions set country = 'XX' where session_id = 's1'"
    )
    release(inside)

    person = House(house.project, house.home_folder)
    told = person.json("diff", "main", "dev")
    (mart,) = [mart for mart in told["marts"] if mart["name"] == "fct_sessions"]
    assert told["b"]["label"] == "dev (release 2)" and not told["is_equal"]
    assert mart["key"] == ["session_id"], "of what a test finds unique, not of unique_key"
    assert (mart["rows_added"], mart["rows_gone"], mart["rows_changed"]) == (2, 0, 1)
    assert [column["name"] for column in mart["columns"]] == ["country"]
    assert mart["columns"][0]["samples"] == [
        {"key": {"session_id": "s1"}, "before": "DE", "after": "XX"}
    ]
    shown = person.boathouse("diff", "1", "dev", "-m", "fct_sessions").stdout
    assert "release 1 → dev (release 2)" in shown and "country" in shown and "s1" in shown
    person.boathouse("diff", "1", "dev", "--exit-code", code=1)
    equal = person.boathouse("diff", "1", str(house.warehouse), "--exit-code").stdout
    assert "Nothing differs: 8 marts" in equal
    # In the environment, a number is its own release.
    own = person.boathouse("--env", "dev", "diff", "main", "2", "--json").stdout
    assert json.loads(own)["marts"] == told["marts"]

    for wrong, said in (("9", "Release 9 is not kept. Kept are: 1"), ("nope", "no release, env")):
        with pytest.raises(UsageError, match=said):
            find_side(house, wrong)
    with pytest.raises(UsageError, match="Neither side has a mart 'nope'"):
        compare(house, find_side(house, "1"), find_side(house, "dev"), marts=["nope"])
    other = tmp_path / "other.duckdb"
    duckdb.connect(str(other)).close()
    with pytest.raises(DiffError, match="no marts"):
        compare(house, find_side(house, "1"), find_side(house, str(other)))
