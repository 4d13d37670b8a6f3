"""The look-ups beside a release: the same rows as the mart, however they came there."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import duckdb
import houses
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from boathouse.errors import ReleaseError
from boathouse.release import current_release, lookups, release
from boathouse.release.lookups import Lookup, Reader, Writer, from_meta
from boathouse.settings import Settings

COLUMNS = {
    "session": "VARCHAR",
    "player": "VARCHAR",
    "ended_at": "TIMESTAMP",
    "country": "VARCHAR",
    "is_completed": "BOOLEAN",
}
TABLE = ", ".join(f"{name} {kind}" for name, kind in COLUMNS.items())
LOOKUP = Lookup(
    "completed",
    "s",
    "player",
    "ended_at",
    ("session",),
    ("country",),
    "is_completed",
    ("VARCHAR", "TIMESTAMP", "VARCHAR", "VARCHAR"),
)
START = datetime(2026, 3, 10)

Row = tuple[str, str | None, datetime | None, str | None, bool]

rows = st.builds(
    lambda player, minute, country, is_completed: (
        player,
        None if minute is None else START + timedelta(minutes=minute),
        country,
        is_completed,
    ),
    st.sampled_from(["p", "q", "'", "ü", None]),
    st.sampled_from([0, 1, 2, None]),
    st.sampled_from(["PK", None]),
    st.booleans(),
)
tables = st.dictionaries(st.sampled_from(list("abcdefgh")), rows)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    yield tmp_path_factory.mktemp("lookups")


def fill(con: duckdb.DuckDBPyConnection, table: str, content: list[Row]) -> None:
    con.execute(f"create or replace table {table} ({TABLE})")
    if content:
        con.executemany(f"insert into {table} values (?, ?, ?, ?, ?)", content)


def stored(path: Path) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as con:
        query = 'select * from "s.completed" order by player, ended_at, session'
        return con.execute(query).fetchall()


@settings(max_examples=60)
@given(st.lists(tables, min_size=2, max_size=4))
def test_changed_look_ups_are_those_made_anew(folder: Path, states: list[dict[str, Row]]) -> None:
    path = folder / "changed.sqlite"
    path.unlink(missing_ok=True)
    before: dict[str, Row] = {}
    with duckdb.connect() as con:
        for number, state in enumerate(states):
            content = [(key, *row) for key, row in state.items()]
            fill(con, "s", content)
            writer = Writer(path, [LOOKUP])
            if number == 0:
                writer.rebuild(con, "s", "s")
            else:
                touched = {k for k in before | state if before.get(k) != state.get(k)}
                fill(con, "gone", [(k, *r) for k, r in before.items() if k in touched])
                fill(con, "alive", [(k, *r) for k, r in state.items() if k in touched])
                writer.change(con, "s", "s", gone="gone", alive="alive")
            writer.close()
            before = state
            expected = [
                (player, (ended - datetime(1970, 1, 1)) // timedelta(microseconds=1), key, country)
                for key, (player, ended, country, is_completed) in state.items()
                if is_completed and player is not None and ended is not None
            ]
            assert stored(path) == sorted(expected, key=lambda row: row[:3])


@pytest.mark.parametrize(
    ("gone", "alive"),
    [
        ([("b", "p", START, "PK", True)], []),  # the look-up lacks it
        ([], [("a", "p", START, "PK", True)]),  # and has this one already
    ],
)
def test_look_ups_that_do_not_fit_what_changed_are_made_anew(
    tmp_path: Path, gone: list[Row], alive: list[Row]
) -> None:
    path = tmp_path / "x.sqlite"
    with duckdb.connect() as con:
        fill(con, "s", [("a", "p", START, "PK", True)])
        writer = Writer(path, [LOOKUP])
        writer.rebuild(con, "s", "s")
        writer.close()
        fill(con, "s", [("a", "p", START, "PK", True), ("c", "p", START, "PK", True)])
        fill(con, "gone", gone)
        fill(con, "alive", alive)
        writer = Writer(path, [LOOKUP])
        writer.change(con, "s", "s", gone="gone", alive="alive")
        writer.close()
    # Nothing has told of c: it is there only if the mart was read as a whole.
    assert [row[2] for row in stored(path)] == ["a", "c"]


def test_reader_goes_on_where_a_page_ended(tmp_path: Path) -> None:
    path = tmp_path / "x.sqlite"
    content = [(f"s{n:02}", "p", START + timedelta(minutes=n // 3), "PK", True) for n in range(20)]
    with duckdb.connect() as con:
        fill(con, "s", content)
        writer = Writer(path, [LOOKUP])
        writer.rebuild(con, "s", "s")
        writer.close()
    reader = Reader(path)
    seen = reader.newest("s", "completed", "p", 4)
    while page := reader.newest("s", "completed", "p", 4, before=seen[-1][1:3]):
        seen += page
    assert [row[2] for row in seen] == sorted((row[0] for row in content), reverse=True)
    assert [row[2] for row in reader.newest("s", "completed", "p", 9, since=seen[1][1])] == [
        row[2] for row in seen[:2]
    ]
    with pytest.raises(ReleaseError, match="no look-up started of s"):
        reader.newest("s", "started", "p", 1)
    reader.close()


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ('{"x": {"by": "player"}}', "needs `by` and `newest`"),
        ('{"x": {"by": "player", "newest": "nothing"}}', "names nothing, which"),
        ('{"x": {"by": "player", "newest": "country"}}', "needs a time"),
        ('{"x": {"by": "ended_at", "newest": "ended_at"}}', "goes by ended_at"),
        ('{"x": {"by": "score", "newest": "ended_at"}}', "goes by score, a DOUBLE"),
        ('{"x": {"by": "player", "newest": "ended_at", "columns": "country"}}', "as a list"),
        ('{"x": {"by": "player", "newest": "ended_at", "column": []}}', "says column, which"),
        ('{"x": 1}', "needs"),
        ('{"x/y": {"by": "player", "newest": "ended_at"}}', "needs a name of letters"),
        ('["x"]', "no mapping"),
    ],
)
def test_look_up_that_cannot_be_made_is_an_error(asked: str, said: str) -> None:
    with pytest.raises(ReleaseError, match=said):
        from_meta("s", asked, ["session"], {**COLUMNS, "score": "DOUBLE"})


def test_column_that_is_named_twice_is_kept_once() -> None:
    asked = """{"x": {"by": "player", "newest": "ended_at",
        "columns": ["session", "country", "player", "ended_at", "country"]}}"""
    (lookup,) = from_meta("s", asked, ["player", "session"], COLUMNS)
    assert lookup.all_columns == ["player", "ended_at", "session", "country"]
    assert lookup.key == ("session",)
    assert lookup.types == ("VARCHAR", "TIMESTAMP", "VARCHAR", "VARCHAR")


def test_two_marts_may_have_look_ups_of_one_name(tmp_path: Path) -> None:
    path = tmp_path / "x.sqlite"
    both = [replace(LOOKUP, where="true"), replace(LOOKUP, mart="t", where="true")]
    with duckdb.connect() as con:
        writer = Writer(path, both)
        for mart in "st":
            fill(con, mart, [(f"of {mart}", "p", START, "PK", True)])
            writer.rebuild(con, mart, mart)
        writer.close()
    reader = Reader(path)
    for mart in "st":
        assert [row[2] for row in reader.newest(mart, "completed", "p", 9)] == [f"of {mart}"]
    reader.close()


def test_look_ups_of_an_earlier_version_are_read_and_then_made_anew(tmp_path: Path) -> None:
    path = tmp_path / "x.sqlite"
    earlier = (
        '{"by": "player", "columns": ["country"], "key": ["session"], "mart": "s", '
        '"name": "completed", "newest": "ended_at", "where": "is_completed"}'
    )
    with closing(sqlite3.connect(path)) as con, con:
        con.execute("create table lookups (name text primary key, definition text)")
        con.execute("insert into lookups values ('completed', ?)", [earlier])
        con.execute("create table completed (player, ended_at, session, country)")
        con.execute("insert into completed values ('p', 1, 'a', 'PK')")
    reader = Reader(path)
    assert reader.newest("s", "completed", "p", 9) == [("p", 1, "a", "PK")]
    reader.close()
    with duckdb.connect() as con:
        fill(con, "s", [("b", "p", START, "PK", True)])
        writer = Writer(path, [LOOKUP])
        writer.stay(con, "s", "s")
        writer.close()
    assert [row[2] for row in stored(path)] == ["b"]
    assert lookups.definitions(path) == {"s.completed": LOOKUP.definition}


@pytest.mark.parametrize("where", ["is_finished", "1 = )", "cast(country as integer) = 1"])
def test_condition_that_cannot_be_asked_is_an_error_that_names_the_look_up(
    tmp_path: Path, where: str
) -> None:
    with duckdb.connect() as con:
        fill(con, "s", [("a", "p", START, "PK", True)])
        writer = Writer(tmp_path / "x.sqlite", [replace(LOOKUP, where=where)])
        with pytest.raises(ReleaseError, match="The look-up completed of s cannot be made: "):
            writer.rebuild(con, "s", "s")


def test_release_without_its_look_ups_is_followed_by_one_with_them(house: Settings) -> None:
    report = release(house)
    path = lookups.beside(report.release.path)
    path.chmod(0o644)
    path.unlink()
    again = release(house)
    assert again.is_new
    assert lookups.definitions(lookups.beside(again.release.path)).keys() == {
        "fct_sessions.completed_sessions",
        "fct_sessions.started_sessions",
    }
    assert not release(house).is_new


def test_look_ups_follow_what_the_mart_says(house: Settings) -> None:
    release(house)
    houses.execute(
        house,
        "update lake.meta.nodes set lookups = replace(lookups, 'is_completed', "
        "'duration_seconds > 30') where name = 'fct_sessions'",
    )
    assert release(house).is_new
    current = current_release(house)
    assert current is not None
    with closing(sqlite3.connect(lookups.beside(current.path))) as con:
        found = con.execute('select count(*) from "fct_sessions.completed_sessions"').fetchall()
    query = "select count(*) from marts.fct_sessions where duration_seconds > 30"
    assert found == houses.released_rows(house, query)
