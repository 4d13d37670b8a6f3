"""Random queries over small random tables: no scan has keys that it should not have.

The grammar has what a wrong rule would let through: ranks by one column before another is chosen,
keys from the side of a join that may be missing, nulls and duplicates everywhere, numbers joined to
text. About half of the queries have a scan with keys (`--hypothesis-show-statistics`).
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import duckdb
import pytest
from hypothesis import HealthCheck, assume, event, given, settings
from hypothesis import strategies as st

from boathouse.build.pushdown import Trace, narrow, trace
from boathouse.sql import row

TYPES = {
    ("b",): {"k": "INTEGER", "x": "INTEGER", "s": "VARCHAR"},
    ("c",): {"k": "INTEGER", "y": "INTEGER", "s": "VARCHAR"},
    ("main", "d"): {"k": "INTEGER", "x": "DOUBLE"},
}
VIEWS = {
    ("v",): "select k, x + 1 as y, s from b where x is not null -- a comment at the end",
    ("w",): "with b as (select * from c) select b.k, v.y from b left join v using (k)",
}
VIEW_COLUMNS = {"v": {"k": "i", "y": "i", "s": "t"}, "w": {"k": "i", "y": "i"}}
KINDS = {"INTEGER": "i", "VARCHAR": "t", "DOUBLE": "f"}
Columns = dict[str, str]  # name → kind


@dataclass(frozen=True)
class Query:
    sql: str
    columns: Columns
    likely: tuple[str, ...] = ()  # columns that are worth being a key


@dataclass
class Grammar:
    """Draws queries; `mixed` ones also join numbers to text."""

    draw: Callable[[st.SearchStrategy[Any]], Any]
    mixed: bool
    made: int = 0

    def one_of(self, *values: Any) -> Any:
        return self.draw(st.sampled_from(values))

    def some(self, values: list[Any], least: int = 1, most: int = 3) -> list[Any]:
        if not values:
            return []
        most = min(most, len(values))
        return self.draw(
            st.lists(st.sampled_from(values), min_size=least, max_size=most, unique=True)
        )

    def alias(self) -> str:
        self.made += 1
        return f"q{self.made}"

    def query(self, depth: int) -> Query:
        if depth <= 0:
            return self.base()
        rule = self.one_of(
            *(self.project, self.filter, self.group, self.window, self.join, self.join),
            *(self.union, self.distinct, self.shared, self.tied, self.odd),
        )
        return rule(depth)

    def base(self) -> Query:
        name = self.one_of("b", "c", "main.d", "v", "w")
        if name in VIEW_COLUMNS:
            return Query(f"select * from {name}", VIEW_COLUMNS[name])
        types = TYPES[tuple(name.split("."))]
        columns = {column: KINDS[kind] for column, kind in types.items()}
        return Query(f"select * from {name}", columns)

    def source(self, depth: int) -> tuple[str, str, Columns]:
        """Return what to write after `from`, its alias and its columns."""
        inner = self.query(depth - 1)
        alias = self.alias()
        plain = inner.sql.removeprefix("select * from ")
        if " " not in plain and inner.sql != plain and self.draw(st.booleans()):
            return f"{plain} as {alias}", alias, inner.columns
        return f"({inner.sql}\n) as {alias}", alias, inner.columns

    def value(self, columns: Columns, alias: str = "") -> tuple[str, str]:
        """Return an expression and its type."""
        dot = f"{alias}." if alias else ""
        name = self.one_of(*sorted(columns))
        other = self.one_of(*sorted(columns))
        column = f"{dot}{name}"
        if columns[name] == "t":
            text = self.one_of(column, column, column, f"upper({column})", f"{column} || 'z'")
            return text, "t"
        if columns[name] == "f":
            text = f"cast({column} as varchar)"
            return self.one_of((column, "f"), (column, "f"), (f"-{column}", "f"), (text, "t"))
        if self.draw(st.integers(0, 5)) == 0:
            return self.one_of((f"cast({column} as varchar)", "t"), ("'1'", "t"), ("1", "i"))
        both = f"coalesce({column}, {dot}{other})" if columns[other] == "i" else column
        number = self.one_of(
            *(column, column, column, column, f"{column} % 2", f"-{column}", both),
            *(f"case when {column} > 1 then 1 else 0 end", f"{column} + 1"),
        )
        return number, "i"

    def items(self, columns: Columns, alias: str = "") -> tuple[list[str], Columns]:
        names = self.some(["k", "x", "y", "s", "n"], 1, 4)
        items, types = [], {}
        for name in names:
            text, kind = self.value(columns, alias)
            items.append(f"{text} as {name}")
            types[name] = kind
        if alias == "" and self.draw(st.integers(0, 3)) == 0:
            return ["*"], columns
        return items, types

    def condition(self, columns: Columns, alias: str = "") -> str:
        text, kind = self.value(columns, alias)
        if kind == "t":
            return self.one_of(f"{text} is not null", f"{text} <> '1'", f"{text} is null")
        return self.one_of(
            f"{text} > 0",
            f"{text} is not null",
            f"{text} in (1, 2)",
            f"{text} = 1",
            f"{text} <> 2",
            f"({text} = 1 or {text} is null)",
        )

    def project(self, depth: int) -> Query:
        source, alias, columns = self.source(depth)
        items, types = self.items(columns, self.one_of("", alias))
        where = f" where {self.condition(columns)}" if self.draw(st.booleans()) else ""
        return Query(f"select {', '.join(items)} from {source}{where}", types)

    def filter(self, depth: int) -> Query:
        source, alias, columns = self.source(depth)
        other, name, theirs = self.source(depth - 1)
        mine = self.one_of(*sorted(columns))
        likes = [each for each in sorted(theirs) if theirs[each] == columns[mine]]
        assume(likes)
        there = self.one_of(*likes)
        extra = f" and {self.condition(theirs, name)}" if self.draw(st.booleans()) else ""
        tied = f"select 1 from {other} where {name}.{there} = {alias}.{mine}{extra}"
        counted = f"select count(*) from {other} where {name}.{there} = {alias}.{mine}{extra}"
        condition = self.one_of(
            f"{alias}.{mine} in (select {name}.{there} from {other})",
            f"{alias}.{mine} not in (select {name}.{there} from {other})",
            f"exists ({tied})",
            f"not exists ({tied})",
            f"exists (select 1 from {other})",
            f"({counted}) > 1",
            f"(select count(*) from {other}) > 3",
            f"({alias}.{mine} in (select {name}.{there} from {other})"
            f" or {self.condition(columns, alias)})",
        )
        where = f" and {self.condition(columns, alias)}" if self.draw(st.booleans()) else ""
        if self.draw(st.integers(0, 3)) == 0:
            sql = f"select {alias}.*, ({counted}) as n from {source}"
            return Query(sql, {**columns, "n": "i"}, (mine,))
        return Query(f"select * from {source} where {condition}{where}", columns, (mine,))

    def group(self, depth: int) -> Query:
        source, _, columns = self.source(depth)
        by, types = [], {}
        for name in self.some(["k", "x", "y"], 0, 2):
            text, kind = self.value(columns)
            by.append((text, name))
            types[name] = kind
        numbers = [name for name in sorted(columns) if columns[name] == "i"] or ["1"]
        sums = f"{self.one_of('sum', 'max', 'min', 'count')}({self.one_of(*numbers)})"
        items = [f"{text} as {name}" for text, name in by]
        keys = self.one_of(
            [text for text, _ in by],
            [str(place + 1) for place in range(len(by))],
            ["all"],
            [f"rollup ({by[0][0]})"] if by else [],
        )
        clause = f" group by {', '.join(keys)}" if by and keys else ""
        assume(clause or not by)
        having = self.one_of("", "", " having count(*) > 1")
        derived = (
            f"{by[0][0]} % 2 as h" if by and types[by[0][1]] == "i" and keys != ["all"] else ""
        )
        if derived and self.draw(st.booleans()):
            items.append(derived)
            types["h"] = "i"
        items.append(f"cast({sums} as integer) as n")
        sql = f"select {', '.join(items)} from {source}{clause}{having}"
        return Query(sql, {**types, "n": "i"}, tuple(types))

    def window(self, depth: int) -> Query:
        source, alias, columns = self.source(depth)
        by = [self.value(columns)[0] for _ in range(self.one_of(0, 1, 1, 1, 2))]
        partition = f"partition by {', '.join(by)} " if by else ""
        order = f"order by {', '.join(f'{alias}.{name}' for name in sorted(columns))}"
        function = self.one_of("row_number()", "count(*)", f"lag({sorted(columns)[0]})")
        kind = columns[sorted(columns)[0]] if function.startswith("lag") else "i"
        over = f"({partition}{order})"
        if self.draw(st.booleans()):
            ranked = f"row_number() over ({partition}{order}) = 1"
            items, types = self.items(columns)
            return Query(f"select {', '.join(items)} from {source} qualify {ranked}", types)
        # DuckDB does not take one name in both halves of a union.
        part = f"part_{alias}"
        named = f"select *, {function} over {part} as r from {source} window {part} as {over}"
        plain = f"select *, {function} over {over} as r from {source}"
        likely = tuple(name for name in by if name in columns)
        return Query(self.one_of(named, plain), {**columns, "r": kind}, likely)

    def distinct(self, depth: int) -> Query:
        source, _, columns = self.source(depth)
        if self.draw(st.booleans()):
            items, types = self.items(columns)
            return Query(f"select distinct {', '.join(items)} from {source}", types)
        on = ", ".join(self.some(sorted(columns), 1, 2))
        order = ", ".join(f"{name}" for name in sorted(columns))
        return Query(
            f"select * from (select distinct on ({on}) * from {source} order by {order})", columns
        )

    def union(self, depth: int) -> Query:
        left, right = self.query(depth - 1), self.query(depth - 1)
        if self.draw(st.integers(0, 4)) == 0:
            same = {
                n for n in left.columns if left.columns[n] == right.columns.get(n, left.columns[n])
            }
            assume(same == set(left.columns))
            sql = f"({left.sql}\n) union all by name ({right.sql}\n)"
            return Query(sql, {**left.columns, **right.columns})
        mine, types = self.items(left.columns, "l")
        theirs = []
        for kind in types.values():
            fitting = [
                name
                for name in sorted(right.columns)
                if right.columns[name] == kind
                or (self.mixed and "t" not in (kind, right.columns[name]))
            ]
            theirs.append(
                f"r.{self.one_of(*fitting)}"
                if fitting
                else self.one_of("null", "'2'" if kind == "t" else "2")
            )
        word = self.one_of("union", "union all", "union all", "except", "intersect", "except all")
        return Query(
            f"select {', '.join(mine)} from ({left.sql}\n) as l {word}"
            f" select {', '.join(theirs)} from ({right.sql}\n) as r",
            types,
        )

    def join(self, depth: int) -> Query:
        source, alias, columns = self.source(depth)
        other, name, theirs = self.source(self.one_of(depth, depth - 1))
        kind = self.one_of(
            "join",
            "left join",
            "left join",
            "right join",
            "full join",
            "full join",
            "semi join",
            "anti join",
        )
        pairs = [
            (mine, there)
            for mine in sorted(columns)
            for there in sorted(theirs)
            if self.mixed or columns[mine] == theirs[there]
        ]
        assume(pairs)
        chosen = self.some(pairs, 1, 2)
        same = self.one_of("=", "=", "=", "is not distinct from")
        on = [f"{alias}.{mine} {same} {name}.{there}" for mine, there in chosen]
        if self.draw(st.integers(0, 4)) == 0:
            on = [f"{alias}.{mine} <= {name}.{there}" for mine, there in chosen[:1]]
        if self.draw(st.integers(0, 3)) == 0:
            on.append(self.condition(*self.one_of((columns, alias), (theirs, name))))
        shared = [each for each in sorted(columns) if theirs.get(each) == columns[each]]
        using = (
            kind not in ("semi join", "anti join") and shared and self.draw(st.integers(0, 3)) == 0
        )
        join = f"{source} {kind} {other} on {' and '.join(on)}"
        items, types = [], {}
        if using:
            by = self.some(shared, 1, 2)
            join = f"{source} {kind} {other} using ({', '.join(by)})"
            items = [f"{each} as u{place}" for place, each in enumerate(by)]
            types = {f"u{place}": columns[each] for place, each in enumerate(by)}
        is_listed = not using and kind == "join" and self.draw(st.booleans())
        if is_listed:
            join = f"{source}, {other} where {' and '.join(on)}"
        for place, (mine, there) in enumerate(chosen):
            if kind in ("semi join", "anti join"):
                break
            first, second = self.one_of(
                (f"{alias}.{mine}", f"{name}.{there}"), (f"{name}.{there}", f"{alias}.{mine}")
            )
            if columns[mine] == theirs[there]:
                items.append(f"coalesce({first}, {second}) as m{place}")
                types[f"m{place}"] = columns[mine]
        sides = (
            [(columns, alias)]
            if kind in ("semi join", "anti join")
            else [(columns, alias), (theirs, name)]
        )
        for place in range(self.one_of(1, 2, 3)):
            text, type_name = self.value(*self.one_of(*sides))
            items.append(f"{text} as {self.one_of('k', 'x', 'y')}{place}")
            types[items[-1].rsplit(" as ", 1)[1]] = type_name
        where = ""
        if self.draw(st.integers(0, 2)) == 0:
            where = f" {'and' if is_listed else 'where'} {self.condition(*self.one_of(*sides))}"
        likely = tuple(name for name in types if name[0] in "mu")
        return Query(f"select {', '.join(items)} from {join}{where}", types, likely)

    def shared(self, depth: int) -> Query:
        """Return a query that reads a common table expression twice."""
        inner = self.query(depth - 1)
        name = self.one_of("b", "shared", "v")
        column = self.one_of(*sorted(inner.columns))
        condition = self.condition(inner.columns)
        body = self.one_of(
            f"select * from {name} where {condition} union all select * from {name}",
            f"select l.* from {name} as l join {name} as r on l.{column} = r.{column}",
            f"select l.* from {name} as l left join"
            f" (select {column}, count(*) as n from {name} group by all) as r"
            f" on l.{column} = r.{column}",
            f"select * from {name}"
            f" where {column} in (select {column} from {name} where {condition})",
        )
        return Query(f"with {name} as ({inner.sql}\n) {body}", inner.columns, (column,))

    def tied(self, depth: int) -> Query:
        """Return three relations joined by one key after another."""
        one, first, mine = self.source(1)
        two, second, theirs = self.source(depth - 1)
        three, third, last = self.source(1)
        keys = [
            self.one_of(*[name for name in sorted(each) if each[name] == "i"], "k")
            for each in (mine, theirs, last)
        ]
        kinds = [self.one_of("join", "left join", "full join", "right join") for _ in range(2)]
        middle = self.one_of(
            f"{first}.{keys[0]}",
            f"{second}.{keys[1]}",
            f"coalesce({first}.{keys[0]}, {second}.{keys[1]})",
        )
        whole = f"coalesce({first}.{keys[0]}, {second}.{keys[1]}, {third}.{keys[2]})"
        key = self.one_of(whole, middle, f"{third}.{keys[2]}", f"{first}.{keys[0]}")
        where = self.one_of(
            "", "", f" where {third}.{keys[2]} > 0", f" where {second}.{keys[1]} is not null"
        )
        sql = (
            f"select {key} as k, {first}.{keys[0]} as x,"
            f" {second}.{keys[1]} as y, {third}.{keys[2]} as n"
            f" from {one} {kinds[0]} {two} on {first}.{keys[0]} = {second}.{keys[1]}"
            f" {kinds[1]} {three} on {middle} = {third}.{keys[2]}{where}"
        )
        return Query(sql, {"k": "i", "x": "i", "y": "i", "n": "i"}, ("k",))

    def odd(self, depth: int) -> Query:
        source, alias, columns = self.source(depth)
        order = ", ".join(f"{alias}.{name}" for name in sorted(columns))
        name = self.one_of(*sorted(columns))
        return self.one_of(
            Query(f"select * from {source} order by {order} limit 3", columns),
            Query(
                f"select *, unnest([1, {alias}.{name}]) as u from {source}",
                {**columns, "u": columns[name]},
            )
            if columns[name] == "i"
            else Query(f"select * from {source} where {alias}.{name} = '1'", columns),
            Query(
                f"select {alias}.*, l.u from {source}, unnest([{alias}.{name}]) as l(u)",
                {**columns, "u": columns[name]},
            ),
            Query(
                f"select * exclude ({name}), {name} as z from {source}",
                {**{n: t for n, t in columns.items() if n != name}, "z": columns[name]},
            ),
            Query(f"select * replace (1 as {name}) from {source}", {**columns, name: "i"}),
        )


ROWS = st.lists(
    st.tuples(
        st.one_of(st.none(), st.integers(0, 3)),
        st.one_of(st.none(), st.integers(0, 3)),
        st.sampled_from([None, "1", "01", "2"]),
    ),
    max_size=6,
)
NUMBERS = ("b", "c", "main.d")


@st.composite
def cases(draw: Any) -> tuple[Query, list[str], bool]:
    typed = draw(st.booleans())
    query = Grammar(draw, mixed=typed and draw(st.booleans())).query(draw(st.integers(1, 3)))
    key = draw(
        st.lists(st.sampled_from(sorted(query.columns)), min_size=1, max_size=2, unique=True)
    )
    return query, key, typed


def fill(con: duckdb.DuckDBPyConnection, name: str, rows: list[tuple[Any, ...]]) -> None:
    con.execute(f"delete from {name}")
    width = len(TYPES[tuple(name.split("."))])
    if rows:
        con.execute(f"insert into {name} values {', '.join(row(each[:width]) for each in rows)}")


@pytest.fixture(scope="module")
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(config={"threads": 1}) as opened:
        for name, types in TYPES.items():
            columns = ", ".join(f"{column} {kind}" for column, kind in types.items())
            opened.execute(f"create table {'.'.join(name)} ({columns})")
        for view, sql in VIEWS.items():
            opened.execute(f"create view {'.'.join(view)} as {sql}")
        yield opened


def rows_of(con: duckdb.DuckDBPyConnection, sql: str) -> list[tuple[Any, ...]]:
    return con.execute(sql).fetchall()


def picked(
    rows: list[tuple[Any, ...]], key: list[int], wanted: set[Any], *, inside: bool
) -> Counter[Any]:
    return Counter(each for each in rows if (tuple(each[at] for at in key) in wanted) is inside)


def traced(query: Query, key: list[str], *, typed: bool) -> tuple[Trace, dict[str, Any]]:
    columns: Any = TYPES if typed else {name: list(types) for name, types in TYPES.items()}
    known = {"views": VIEWS, "columns": columns}
    return trace(query.sql, key, **known), known


@settings(max_examples=300, suppress_health_check=list(HealthCheck))
@given(
    case=cases(),
    before=st.tuples(ROWS, ROWS, ROWS),
    after=st.tuples(ROWS, ROWS, ROWS),
    data=st.data(),
)
def test_only_rows_with_touched_keys_change_and_a_narrowed_query_finds_all_of_them(
    con: duckdb.DuckDBPyConnection,
    case: tuple[Query, list[str], bool],
    before: Any,
    after: Any,
    data: st.DataObject,
) -> None:
    query, key, typed = case
    for name, rows in zip(NUMBERS, before, strict=True):
        fill(con, name, rows)
    try:
        whole = rows_of(con, query.sql)
    except (duckdb.BinderException, duckdb.ConversionException):
        assume(False)
    names = [column[0].lower() for column in con.description or ()]
    assume(all(names.count(name) == 1 for name in key))
    at = [names.index(name) for name in key]
    result, known = traced(query, key, typed=typed)
    proven = [scan for scan in result.scans if scan.keys is not None]
    event(f"scans with keys: {bool(proven)}")
    assert result.volatile is None
    if not proven:
        assert narrow(query.sql, key, "touched", **known) == query.sql
        return

    values = [tuple(each[place] for place in at) for each in whole]
    values += [(value,) * len(key) for value in (None, 0, 1, 2)]
    asked = set(data.draw(st.lists(st.sampled_from(values), max_size=3)))
    listed = ", ".join(key)
    con.execute(
        f"create or replace temp table touched as select {listed} from ({query.sql}\n) limit 0"
    )
    if asked:
        con.execute(f"insert into touched values {', '.join(map(row, asked))}")
    wanted = set(rows_of(con, "from touched"))
    narrower = narrow(query.sql, key, "touched", **known)
    found = rows_of(con, narrower)
    assert picked(found, at, wanted, inside=True) == picked(whole, at, wanted, inside=True), (
        narrower
    )

    for number, name in enumerate(NUMBERS):
        scans = [scan for scan in result.scans if scan.relation == tuple(name.split("."))]
        if not scans or any(scan.keys is None for scan in scans):
            continue
        kept = data.draw(st.integers(0, len(before[number])))
        now = before[number][:kept] + after[number]
        changed = before[number][kept:] + after[number]
        fill(con, name, changed)
        con.execute("delete from touched")
        for scan in scans:
            con.execute(f"insert into touched select {', '.join(scan.keys or ())} from {name}")
        touched = set(rows_of(con, "from touched"))
        fill(con, name, now)
        try:
            later = rows_of(con, query.sql)
        except duckdb.ConversionException:
            assume(False)
        assert picked(later, at, touched, inside=False) == picked(
            whole, at, touched, inside=False
        ), name
        fill(con, name, before[number])
