"""What was combined, step by step, is what all rows combine to; what cannot be, is refused."""

from collections.abc import Iterator, Sequence
from types import SimpleNamespace

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from boathouse.build.combined import Block, check_combined, one_by_one
from boathouse.build.combining import Combination
from boathouse.build.following import Following
from boathouse.build.nodes import Node
from boathouse.build.pushdown import PushdownError
from boathouse.errors import BuildError

RULES = {
    "began": "min",
    "ended": "max",
    "amount": "sum",
    "person": ["first by began", "last by ended"],
    "country": "first by began",
    "level": "last by ended",
}
COMBINATION = Combination.of(RULES, ["k", "part"])
BY_ONE = Combination.of({**RULES, "k": "max"}, "part")
COLUMNS = ("k", "part", *RULES)
FEW = st.none() | st.integers(0, 2)
# Few keys, so that most rows have company.
ROWS = st.lists(
    st.tuples(
        st.just(1), st.none() | st.just(0), FEW, FEW, FEW, *[st.none() | st.sampled_from("ab")] * 3
    ),
    max_size=6,
)


@pytest.fixture(scope="module")
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as opened:
        for table in ("before", "came", "went", "now"):
            opened.execute(
                f"create table {table} (k int, part int, began int, ended int, amount int, "
                "person varchar, country varchar, level varchar)"
            )
        yield opened


def fill(con: duckdb.DuckDBPyConnection, table: str, rows: list[tuple[object, ...]]) -> None:
    con.execute(f"delete from {table}")
    if rows:
        con.executemany(f"insert into {table} values (?, ?, ?, ?, ?, ?, ?, ?)", rows)


def remember(con: duckdb.DuckDBPyConnection) -> None:
    con.execute(f"create or replace table known as {COMBINATION.whole('from before')}")


def ordered(con: duckdb.DuckDBPyConnection, query: str) -> list[tuple[object, ...]]:
    return con.execute(f"select * from ({query}) as found order by all").fetchall()


def as_combined(rows: list[tuple[object, ...]]) -> list[tuple[object, ...]]:
    """Return what rows combine to, in plain Python."""

    def least(values: list[object]) -> object:
        return min((v for v in values if v is not None), default=None)

    def most(values: list[object]) -> object:
        return max((v for v in values if v is not None), default=None)

    def known_first(value: object) -> tuple[bool, object]:
        return (value is None, value or "")

    def known_last(value: object) -> tuple[bool, object]:
        return (value is not None, value or "")

    found = []
    for key in {row[:2] for row in rows}:
        group = [dict(zip(COLUMNS, row, strict=True)) for row in rows if row[:2] == key]
        starts = [row for row in group if row["began"] is not None]
        ends = [row for row in group if row["ended"] is not None]
        first = min(
            starts,
            key=lambda r: (r["began"], known_first(r["person"]), known_first(r["country"])),
            default=None,
        )
        last = max(ends, key=lambda r: (r["ended"], known_last(r["person"])), default=None)
        level = max(ends, key=lambda r: (r["ended"], known_last(r["level"])), default=None)
        whose = first or last or {}
        found.append(
            (
                *key,
                least([row["began"] for row in group]),
                most([row["ended"] for row in group]),
                sum(row["amount"] or 0 for row in group),
                whose.get("person"),
                (first or {}).get("country"),
                (level or {}).get("level"),
            )
        )
    return sorted(found, key=lambda row: [(v is None, v if v is not None else 0) for v in row[:2]])


@given(ROWS)
@settings(max_examples=100)
def test_rows_combine_as_the_rules_say(con: duckdb.DuckDBPyConnection, rows: list) -> None:
    fill(con, "now", rows)
    assert ordered(con, COMBINATION.whole("from now")) == as_combined(rows)


@given(ROWS, ROWS)
@settings(max_examples=100)
def test_new_rows_added_to_known_ones_are_all_rows(
    con: duckdb.DuckDBPyConnection, before: list, came: list
) -> None:
    fill(con, "before", before)
    fill(con, "came", came)
    remember(con)
    added = COMBINATION.added("from came", "from known")
    assert ordered(con, added) == ordered(con, COMBINATION.whole("from before union all from came"))


@given(ROWS, ROWS, st.sets(st.integers(0, 5)), st.booleans())
@settings(max_examples=100)
def test_what_went_is_taken_away_or_its_key_is_combined_from_all_rows(
    con: duckdb.DuckDBPyConnection,
    before: list,
    came: list,
    places: set[int],
    comes_back: bool,
) -> None:
    went = [row for place, row in enumerate(before) if place in places]
    stayed = [row for place, row in enumerate(before) if place not in places]
    came = came + went[:1] if comes_back else came
    fill(con, "before", before)
    fill(con, "came", came)
    fill(con, "went", went)
    fill(con, "now", stayed + came)
    remember(con)
    columns = ", ".join(COLUMNS)
    changes = (
        f"select {columns}, sum(n) as _change from "
        "(select *, 1 as n from came union all select *, -1 as n from went) as each_row "
        f"group by {columns} having sum(n) <> 0"
    )
    changed = COMBINATION.changed(changes, "from known", "from now")
    assert ordered(con, changed) == ordered(con, COMBINATION.whole("from now"))
    known = f"{BY_ONE.whole('from before')}"
    changed = BY_ONE.changed(changes, known, "from now")
    assert ordered(con, changed) == ordered(con, BY_ONE.whole("from now"))


def test_key_is_not_computed_again_while_it_can_be_combined(
    con: duckdb.DuckDBPyConnection,
) -> None:
    row = (1, 1, 1, 5, 7, "a", "b", "a")
    later = (1, 1, 2, 4, 7, "a", "b", "a")
    fill(con, "before", [row, later])
    remember(con)
    gone = "select *, -1 as _change from before where began = {}"
    unread = "select * from before where error('read again') is null"
    changed = COMBINATION.changed(gone.format(2), "from known", "from before where false")
    assert ordered(con, changed) == as_combined([row])
    changed = COMBINATION.changed(gone.format(1), "from known", unread)
    with pytest.raises(duckdb.Error, match="read again"):
        ordered(con, changed)


def test_table_with_two_rows_for_one_is_no_knowledge(con: duckdb.DuckDBPyConnection) -> None:
    fill(con, "before", [(1, 1, 1, 5, 7, "a", "b", "a")])
    remember(con)
    for query in (
        COMBINATION.added("from came", "from known union all from known"),
        COMBINATION.changed(
            "select *, 1 as _change from came", "from known union all from known", "from came"
        ),
    ):
        with pytest.raises(duckdb.Error, match="several rows where it combines to one"):
            ordered(con, query)


@pytest.mark.parametrize(
    ("columns", "by", "said"),
    [
        ({"a": "mean"}, "k", "a cannot be combined by 'mean'"),
        ({"a": ["min", "max"]}, "k", "a cannot be combined by"),
        ({"a": []}, "k", "a cannot be combined by"),
        ({"a": "first by b"}, "k", "then b has to be combined as well, by `min`"),
        ({"a": "last by b", "b": "min"}, "k", "then b has to be combined as well, by `max`"),
        ({"k": "min"}, "k", "groups by k, and is told to combine it too"),
        ({"a": "min"}, None, "and `by`: those that group rows"),
        ({}, "k", "takes rules for columns"),
    ],
)
def test_rule_that_cannot_be_kept_is_refused(columns: dict, by: str, said: str) -> None:
    with pytest.raises(BuildError, match=said):
        Combination.of(columns, by)


SIMPLE = Combination.of({"least": "min", "total": "sum"}, "k")
PASSED = f"with c as (select * from ({SIMPLE.whole('from t')}) as x) "


@pytest.mark.parametrize(
    "sql",
    [
        "select k, least, total from c",
        "select k, least, cast(total as bigint) as total, least + 1 as more from c order by least",
        "select c.k, c.least, c.total, d.x from c left join d on c.k = d.k",
        "select k, least, total from (select * from c) as inner_c order by k",
    ],
)
def test_combined_rows_that_reach_the_table_are_passed_on(sql: str) -> None:
    known = {("t",): {"k": "int", "least": "int", "total": "int"}, ("d",): {"k": "int", "x": "int"}}
    check_combined("m", ["k"], PASSED + sql, Block("t", "", SIMPLE), {}, known)


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("select k, coalesce(least, 0) as least, total from c", "what it returns as least"),
        ("select k, least, cast(total as double) as total from c", "what it returns as total"),
        ("select k, cast(least as varchar) as least, total from c", "what it returns as least"),
        ("select k + 1 as k, least, total from c", "what it returns as k"),
        ("select total as least, k, least as total from c", "what it returns as least"),
        ("select * from c where total > 1", "has `where` after"),
        ("select * from c qualify row_number() over () = 1", "has `qualify` after"),
        ("select k, min(least) as least, total from c group by k, total", "has `group` after"),
        ("select distinct * from c", "has `distinct` after"),
        ("select * from c limit 5", "has `limit` after"),
        ("select c.* from c inner join d on c.k = d.k", "otherwise than by `left join`"),
        ("select c.* from c, d", "otherwise than by `left join`"),
        ("select c.* from d left join c on c.k = d.k", "does not begin with"),
        ("select * from c union all select 1, 2, 3", "together with others"),
    ],
)
def test_combined_rows_that_do_not_reach_the_table_are_refused(sql: str, said: str) -> None:
    known = {("t",): {"k": "int", "least": "int", "total": "int"}, ("d",): {"k": "int", "x": "int"}}
    with pytest.raises((BuildError, PushdownError), match=said):
        check_combined("m", ["k"], PASSED + sql, Block("t", "", SIMPLE), {}, known)


@pytest.mark.parametrize(
    ("block", "is_one_by_one"),
    [
        ("select k, x from boathouse_input", True),
        ("select k, upper(x) as x from boathouse_input as i where i.x is not null", True),
        ("select k, unnest([x, x]) as x from boathouse_input", True),
        ("select k, count(*) as x from boathouse_input group by k", False),
        ("select k, count(*) as x from boathouse_input group by all", False),
        ("select distinct k, x from boathouse_input", False),
        ("select k, x from boathouse_input limit 3", False),
        ("select k, max(x) over (partition by k) as x from boathouse_input", False),
        ("select i.k, o.x from boathouse_input as i join other as o on i.k = o.k", False),
        ("select k, x from boathouse_input where k in (select k from boathouse_input)", False),
        ("select k, x from boathouse_input union all select 1, 2", False),
    ],
)
def test_block_whose_rows_need_each_other_is_not_added_to(block: str, is_one_by_one: bool) -> None:
    known = {
        ("rows",): {"k": "int", "x": "varchar", "_row": "bigint"},
        ("other",): {"k": "int", "x": "varchar"},
    }
    found = one_by_one(block, "rows", "_row", {}, known)
    assert (found == ("rows",)) is is_one_by_one


def test_sql_over_all_rows_needs_no_manifest_so_that_a_linter_can_read_it() -> None:
    def read_nodes() -> Sequence[Node]:
        raise BuildError("there is none")

    adapter = SimpleNamespace(get_macro_resolver=lambda: None)
    following = Following(adapter, read_nodes, is_cut=False, may_rebuild=True)
    block = Block("t", "select k, x as least, x as total from boathouse_input", SIMPLE)
    assert "from t" in following.combined("model.boathouse.m", block, "")
