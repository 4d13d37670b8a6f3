"""What may be pushed down to the relations that a query reads, rule by rule."""

from collections.abc import Sequence

import duckdb
import pytest

from boathouse.build.pushdown import PushdownError, Scan, functions, narrow, trace

COLUMNS = {
    ("lake", "raw", "orders"): ["id", "user_id", "ordered_at", "status", "_load_id"],
    ("lake", "raw", "payments"): ["payment_id", "order_id", "amount"],
    ("customers",): ["customer_id", "name", "city"],
    ("visits",): ["visit_id", "customer_id", "page", "at"],
}
TYPED = {
    ("numbers",): {"k": "INTEGER", "v": "INTEGER", "on_day": "DATE", "at": "TIMESTAMP"},
    ("texts",): {"k": "VARCHAR", "n": "BIGINT", "v": "INTEGER", "at": "TIMESTAMP"},
}
STAGED = {
    ("lake", "staging", "stg_orders"): """
with source as (select * from "lake"."raw"."orders")
select id as order_id, user_id as customer_id, ordered_at, status from source
"""
}


def scans(sql: str, *key: str) -> tuple[Scan, ...]:
    return trace(sql, key or ("customer_id",), views=STAGED, columns={**COLUMNS, **TYPED}).scans


def keys(sql: str, *key: str) -> list[tuple[str, ...] | None]:
    return [scan.keys for scan in scans(sql, *key)]


def reasons(sql: str, *key: str) -> list[str]:
    return [scan.reason for scan in scans(sql, *key)]


@pytest.mark.parametrize(
    ("sql", "key", "expected"),
    [
        ("select customer_id, name from customers", "customer_id", '"customer_id"'),
        ("select customer_id as k from customers where city = 'Bonn'", "k", '"customer_id"'),
        ("select upper(city) as k from customers", "k", 'upper("city")'),
        ("select cast(page as date) as k from visits", "k", 'try(cast("page" as date))'),
        ("select at::date as k from visits", "k", 'try(cast("at" as date))'),
        ("select cast(page as timestamp) as k from visits", "k", 'try(cast("page" as timestamp))'),
        (
            "select date_trunc('day', v.at) as k from visits as v",
            "k",
            "try(date_trunc('day', \"at\"))",
        ),
        ("select * exclude (name) from customers", "city", '"city"'),
        ("select * replace (lower(city) as city) from customers", "city", 'lower("city")'),
        ("select c.* from customers as c", "city", '"city"'),
        ("select k from customers as c (k, n)", "k", '"customer_id"'),
        ("select customer_id + 1 as a, a * 2 as b from customers", "b", None),
        ("with q (a, b) as (select city, name from customers) select a from q", "a", '"city"'),
        ("from customers", "city", '"city"'),
        ("select k: city from customers", "k", '"city"'),
        (
            'select "City" from "Customers"',
            "city",
            '"city"',
        ),
    ],
)
def test_projections_and_filters_pass(sql: str, key: str, expected: str | None) -> None:
    assert keys(sql, key) == [(expected or 'try((("customer_id" + 1) * 2))',)]


def test_views_and_common_table_expressions_are_looked_through() -> None:
    [scan] = scans(
        "with orders as (select * from lake.staging.stg_orders), "
        "late as (select * from orders where status = 'late') "
        "select customer_id, count(*) as n from late group by customer_id"
    )
    assert scan == Scan(("lake", "raw", "orders"), ('"user_id"',), "", frozenset({"user_id"}))


@pytest.mark.parametrize(
    "clause",
    ["customer_id", "v.customer_id", "1", "all", "customer_id, page", "page, customer_id"],
)
def test_groups_that_contain_the_key_are_kept_or_left_out_whole(clause: str) -> None:
    pages = ", page" if "page" in clause else ""
    sql = f"select customer_id{pages}, count(*) as n from visits as v group by {clause}"
    assert keys(sql) == [('"customer_id"',)]


@pytest.mark.parametrize(
    "sql",
    [
        "select max(customer_id) as customer_id from visits group by page",
        "select max(customer_id) as customer_id from visits",
        "select any_value(customer_id) as customer_id, count(*) as n from visits group by page",
        "select customer_id, count(*) as n from visits group by rollup (customer_id)",
        "select customer_id, count(*) as n from visits group by cube (customer_id, page)",
        "select customer_id from visits group by grouping sets ((customer_id), ())",
        "select 1 as customer_id, count(*) as n from visits group by rollup (1)",
        "select 1 as customer_id, page, count(*) as n from visits group by page, cube (1)",
        "select 1 as customer_id from visits group by grouping sets ((1), ())",
    ],
)
def test_groups_across_keys_do_not_pass(sql: str) -> None:
    assert keys(sql) == [None]


def test_a_group_by_a_name_that_is_also_an_alias_means_the_column() -> None:
    grouped = "select visit_id % 2 as page, count(*) as n from visits group by page"
    assert reasons(grouped, "page") == ["it is grouped by page, not by page"]


def test_a_window_must_be_partitioned_by_the_key() -> None:
    ranked = "select *, row_number() over (partition by {} order by at) as r from visits"
    assert keys(ranked.format("customer_id")) == [('"customer_id"',)]
    assert keys(ranked.format("page, customer_id")) == [('"customer_id"',)]
    assert reasons(ranked.format("visit_id")) == [
        "row_number is computed per visit_id before customer_id is chosen"
    ]
    assert reasons("select *, sum(visit_id) over () as n from visits") == [
        "sum is computed over all rows before customer_id is chosen"
    ]


@pytest.mark.parametrize(
    "sql",
    [
        "select * from visits qualify row_number() over (partition by visit_id order by at) = 1",
        "select *, count(*) over w as n from visits window w as (partition by page)",
        "select *, count(*) over (w order by at) as n from visits window w as (order by page)",
        "select customer_id from visits order by rank() over (partition by page order by at)",
        "select customer_id, count(*) filter (at is null) over (partition by page) from visits",
        "select customer_id, last_value(at ignore nulls) over (partition by page) from visits",
        "select customer_id, sum(count(*)) over () as n from visits group by customer_id",
    ],
)
def test_windows_anywhere_in_a_select_count(sql: str) -> None:
    assert keys(sql) == [None]


def test_a_window_may_be_partitioned_by_what_equals_the_key() -> None:
    sql = (
        "select c.customer_id, row_number() over (partition by v.customer_id order by at) as n "
        "from customers as c join visits as v on c.customer_id = v.customer_id"
    )
    assert keys(sql) == [('"customer_id"',), ('"customer_id"',)]


def test_distinct_passes_and_distinct_on_only_by_the_key() -> None:
    assert keys("select distinct customer_id, page from visits") == [('"customer_id"',)]
    assert keys("select distinct on (customer_id) * from visits order by at") == [
        ('"customer_id"',)
    ]
    assert reasons("select distinct on (page) * from visits order by at") == [
        "one row is kept per page, not by customer_id"
    ]


def test_distinct_on_prefers_the_alias() -> None:
    sql = "select distinct on (page) visit_id as page, page as p from visits order by at"
    assert keys(sql, "p") == [None]


def test_unions_pass_by_position_and_by_name() -> None:
    sides = "select customer_id, 1 as n from visits {} select user_id, id from lake.raw.orders"
    for word in ("union", "union all", "except", "intersect", "except all"):
        assert keys(sides.format(word)) == [('"customer_id"',), ('"user_id"',)]
    named = (
        "select 'web' as kind, customer_id from visits union all by name "
        "select user_id as customer_id from lake.raw.orders"
    )
    assert keys(named) == [('"customer_id"',), ('"user_id"',)]
    assert keys(named, "kind", "customer_id") == [
        ("'web'", '"customer_id"'),
        ("null", '"user_id"'),
    ]


def test_what_is_computed_after_a_union_passes_only_for_columns_of_one_type() -> None:
    sql = (
        "select cast({0} as varchar) as day "
        "from (select at from numbers union all select {1} from {2}) as t ({0})"
    )
    assert keys(sql.format("t", "at", "texts"), "day") == [('try(cast("at" as varchar))',)] * 2
    assert keys(sql.format("t", "on_day", "numbers"), "day") == [None, None]


def test_an_inner_join_passes_the_key_along_equalities() -> None:
    sql = (
        "select c.customer_id, p.amount from customers as c "
        "join lake.raw.orders as o on o.user_id = c.customer_id and o.status <> 'lost' "
        "join lake.raw.payments as p using (amount) "
        "join visits as v on true where v.customer_id = o.user_id"
    )
    expected = "no equality of a join ties it to customer_id"
    refused = sql.replace("using (amount)", "on p.order_id = o.id")
    assert keys(refused) == [('"customer_id"',), ('"user_id"',), None, ('"customer_id"',)]
    assert expected in reasons(refused)


def test_a_key_passes_into_a_function_only_from_one_type_to_the_same() -> None:
    joined = "select {} as day from numbers as n join texts as t on n.at = t.at"
    assert keys(joined.format("cast(n.at as date)"), "day") == [('try(cast("at" as date))',)] * 2
    days = joined.replace("n.at =", "n.on_day =").format("cast(n.on_day as varchar)")
    assert keys(days, "day") == [('try(cast("on_day" as varchar))',), None]


def test_numbers_and_text_that_are_equal_are_not_the_same_key() -> None:
    joined = "select n.k from numbers as n join texts as t on n.k = t.{}"
    assert keys(joined.format("k"), "k") == [('"k"',), None]
    assert keys(joined.format("n"), "k") == [('"k"',), ('"n"',)]


LEFT = (
    "select {} as k, v.page "
    "from customers as c left join visits as v on c.customer_id = v.customer_id"
)


def test_both_sides_of_a_left_join_have_the_key_of_the_kept_side() -> None:
    assert keys(LEFT.format("c.customer_id"), "k") == [('"customer_id"',), ('"customer_id"',)]
    assert keys(LEFT.format("coalesce(v.customer_id, c.customer_id)"), "k") == [
        ('"customer_id"',),
        ('"customer_id"',),
    ]


def test_a_key_from_the_optional_side_of_a_left_join_does_not_pass() -> None:
    assert keys(LEFT.format("v.customer_id"), "k") == [None, None]
    assert (
        reasons(LEFT.format("v.customer_id"), "k")
        == ["k comes from the side of an outer join that may be missing"] * 2
    )
    city = LEFT.format("c.city")
    assert keys(city, "k") == [('"city"',), None]


@pytest.mark.parametrize("where", ["v.page = '/'", "v.customer_id is not null", "v.visit_id > 1"])
def test_a_left_join_whose_unmatched_rows_are_filtered_out_is_an_inner_one(where: str) -> None:
    sql = LEFT.format("v.customer_id") + f" where {where}"
    assert keys(sql, "k") == [('"customer_id"',), ('"customer_id"',)]


def test_a_filter_that_lets_unmatched_rows_through_leaves_a_left_join() -> None:
    assert keys(LEFT.format("v.customer_id") + " where v.page is null", "k") == [None, None]


FULL = "select {} as k from customers as c full join visits as v on c.customer_id = v.customer_id"


def test_a_full_join_passes_the_coalesced_key_of_both_sides_alone() -> None:
    both = [('"customer_id"',), ('"customer_id"',)]
    assert keys(FULL.format("coalesce(c.customer_id, v.customer_id)"), "k") == both
    assert keys(FULL.format("coalesce(v.customer_id, c.customer_id)"), "k") == both
    assert keys(FULL.format("c.customer_id"), "k") == [None, None]
    assert keys(FULL.format("coalesce(c.customer_id, v.visit_id)"), "k") == [None, None]
    using = "select customer_id from customers full join visits using (customer_id)"
    assert keys(using) == both
    assert keys(FULL.format("c.customer_id") + " where c.city = 'Bonn'", "k") == both


@pytest.mark.parametrize("kind", ["semi", "anti"])
def test_semi_and_anti_joins_are_tied_by_their_equality(kind: str) -> None:
    sql = f"select * from customers {kind} join visits using (customer_id)"
    assert keys(sql) == [('"customer_id"',), ('"customer_id"',)]
    assert keys(sql, "city") == [('"city"',), None]


@pytest.mark.parametrize(
    "sql",
    [
        "select c.customer_id from customers as c asof join visits as v "
        "on c.customer_id = v.customer_id and c.name >= v.page",
        "select c.customer_id from customers as c positional join visits as v",
        "select customer_id from customers natural join visits",
        "select customer_id from customers union all select customer_id from visits limit 3",
        "select v.customer_id from (select * from customers limit 3) as c "
        "join (select * from visits offset 1) as v using (customer_id)",
        "select c.customer_id from customers as c, visits as v right join customers as d "
        "on v.customer_id = d.customer_id where 1 = 1 and c.customer_id < 3 and false",
    ],
)
def test_what_hangs_on_order_place_or_number_of_rows_does_not_pass(sql: str) -> None:
    assert set(keys(sql)) == {None}


@pytest.mark.parametrize(
    "source",
    [
        "visits tablesample 10%",
        "visits pivot (count(*) for page in ('a', 'b') group by customer_id)",
        "(pivot visits on page using count(*) group by customer_id)",
    ],
)
def test_samples_and_pivots_do_not_pass(source: str) -> None:
    assert keys(f"select customer_id from {source}") == [None]


def test_a_recursive_query_does_not_pass() -> None:
    sql = (
        "with recursive walk as (select customer_id, 1 as n from visits union all "
        "select customer_id, n + 1 from walk where n < 3) select * from walk"
    )
    assert reasons(sql) == ["it is read by a recursive query"]


def test_rows_made_of_a_row_pass_but_not_a_key_among_them() -> None:
    assert keys("select customer_id, unnest([page, 'x']) as u from visits") == [('"customer_id"',)]
    assert keys("select customer_id, unnest([page, 'x']) as u from visits", "u") == [None]
    lateral = "select customer_id, u from visits as v, unnest([v.page]) as l (u)"
    assert keys(lateral) == [('"customer_id"',)]
    assert keys(lateral, "u") == [None]


def test_table_functions_are_named_and_refused() -> None:
    sql = "select customer_id from visits join read_csv('x.csv') as f on f.id = customer_id"
    assert [(scan.relation, bool(scan.keys)) for scan in scans(sql)] == [
        (("visits",), True),
        (("read_csv",), False),
    ]


def test_days_made_on_the_spot_have_no_scan() -> None:
    sql = (
        "select d.day, count(v.visit_id) as n from range(date '2024-01-01', date '2024-02-01', "
        "interval 1 day) as d (day) left join visits as v on v.at = d.day group by d.day"
    )
    assert keys(sql, "day") == [('"at"',)]


IN = "select * from customers as c where {}"


@pytest.mark.parametrize(
    ("condition", "passes"),
    [
        ("customer_id in (select customer_id from visits)", True),
        ("customer_id in (select customer_id from visits) or city is null", True),
        ("customer_id in (select customer_id from visits group by customer_id)", True),
        ("customer_id in (select visit_id from visits where page is not null)", True),
        ("customer_id not in (select customer_id from visits)", False),
        ("(customer_id in (select customer_id from visits)) is null", False),
        ("city in (select page from visits)", False),
        ("exists (select 1 from visits as v where v.customer_id = c.customer_id)", True),
        ("not exists (select 1 from visits as v where v.customer_id = c.customer_id)", True),
        ("exists (select 1 from visits as v where v.page = c.city)", False),
        ("exists (select 1 from visits)", False),
        ("(select count(*) from visits as v where v.customer_id = c.customer_id) > 2", True),
        (
            "(select max(at) from visits as v where v.customer_id = c.customer_id "
            "order by 1 limit 1) > 2",
            True,
        ),
        ("(select max(at) from visits as v where v.visit_id = c.customer_id + 1) > 2", False),
        ("name > (select max(page) from visits)", False),
    ],
)
def test_subqueries_pass_when_an_equality_ties_them_to_the_key(
    condition: str, passes: bool
) -> None:
    outer, inner = keys(IN.format(condition))
    assert outer == ('"customer_id"',)
    assert (inner is not None) is passes


def test_an_aggregate_in_a_subquery_over_the_rows_around_it_makes_one_row_of_them() -> None:
    assert keys("select customer_id, (select sum(c.city)) as n from customers as c") == [None]
    tied = (
        "select customer_id, (select max(at) from visits as v where v.customer_id = c.customer_id)"
        " as last_at from customers as c"
    )
    assert keys(tied) == [('"customer_id"',), ('"customer_id"',)]


def test_each_use_of_a_common_table_expression_is_a_scan_and_one_without_use_is_none() -> None:
    sql = (
        "with v as (select * from visits), unused as (select * from customers) "
        "select a.customer_id from v as a join v as b on a.page = b.page"
    )
    assert keys(sql) == [('"customer_id"',), None]


def test_names_are_looked_up_where_they_stand() -> None:
    sql = (
        "with visits as (select customer_id as k, 1 as one from visits), "
        "customers as (select * from (with visits as (select city as k from customers) "
        "select * from visits)) select k from customers union all select k from visits"
    )
    assert [(scan.relation, scan.keys) for scan in scans(sql, "k")] == [
        (("customers",), ('"city"',)),
        (("visits",), ('"customer_id"',)),
    ]


def test_a_relation_without_known_columns_passes_what_is_certain() -> None:
    assert keys("select k, x from temporary", "k") == [('"k"',)]
    assert keys("with t as (select * from temporary) select k from t", "k") == [('"k"',)]
    assert keys("select * from temporary", "k") == [('"k"',)]
    assert keys("select t.k from temporary as t join visits as v on v.customer_id = t.k", "k") == [
        ('"k"',),
        ('"customer_id"',),
    ]
    assert keys("select k from temporary join other on true", "k") == [None, None]
    assert keys("select upper(k) as k from temporary", "k") == [('upper("k")',)]
    assert keys("select v as k, k as v from temporary where k > 1", "k") == [None]
    assert keys("select *, 1 as k from temporary", "k") == [None]
    joined = "with t as (select * from temporary), u as (select id as k, x from other) "
    assert keys(joined + "select t.k from t join u on t.k = u.k", "k") == [('"k"',), ('"id"',)]
    assert keys("select * from temporary union all select customer_id from visits", "k") == [
        None,
        None,
    ]


def test_a_function_that_is_not_known_may_be_a_macro_that_looks_at_any_row() -> None:
    assert reasons("select customer_id, my_sum(visit_id) as n from visits") == [
        "its query calls my_sum(), which is not a known function of DuckDB"
    ]
    assert reasons("select my_key(customer_id) as k from visits", "k")[0].startswith("k is ")


@pytest.mark.parametrize(
    ("sql", "volatile"),
    [
        ("select customer_id, now() as t from visits", "now"),
        ("select customer_id from visits where at > current_date", "current_date"),
        ("select customer_id, random() as r from visits", "random"),
        ("select customer_id, uuid() as r from visits", "uuid"),
        ("select customer_id, getvariable('x') as r from visits", "getvariable"),
        ("select customer_id, nextval('s') as r from visits", "nextval"),
        ("select customer_id, age(at) as r from visits", "age"),
        ("select customer_id, age(at, at) as r from visits", None),
        ("select customer_id from visits using sample 10%", "sample"),
        ("select customer_id from customers where name = 'now()' -- random()", None),
        ("with unused as (select now()) select customer_id from customers", "now"),
        ("select customer_id, rowid as r from customers", "rowid"),
    ],
)
def test_what_changes_by_itself_is_named(sql: str, volatile: str | None) -> None:
    assert trace(sql, ["customer_id"], views={}, columns=COLUMNS).volatile == volatile


def test_what_changes_by_itself_is_found_in_views_too() -> None:
    views = {("v",): "select customer_id from visits where at < current_timestamp"}
    traced = trace("select * from v", ["customer_id"], views=views, columns=COLUMNS)
    assert traced.volatile == "current_timestamp"


def test_a_view_that_reads_itself_is_refused() -> None:
    views = {("v",): "select * from w", ("w",): "select * from v"}
    traced = trace("select k from v", ["k"], views=views, columns={})
    assert [scan.keys for scan in traced.scans] == [None]


def test_the_output_is_named() -> None:
    traced = trace("select c.*, 1 as one from customers as c", ["one"], views={}, columns=COLUMNS)
    assert traced.output == ("customer_id", "name", "city", "one")


@pytest.mark.parametrize(
    ("sql", "key", "said"),
    [
        ("select customer_id from visits", ["nobody"], "no column nobody"),
        ("select from where", ["k"], "cannot be read"),
        ("select 1 as k; select 2 as k", ["k"], "not one statement"),
        ("select customer_id from visits", [], "at least one column"),
    ],
)
def test_what_cannot_be_answered_is_an_error(sql: str, key: Sequence[str], said: str) -> None:
    with pytest.raises(PushdownError, match=said):
        trace(sql, key, views={}, columns=COLUMNS)


def test_the_lists_of_functions_agree_with_the_engine() -> None:
    with duckdb.connect() as con:
        rows = con.execute(
            "select lower(function_name), function_type, stability from duckdb_functions()"
        ).fetchall()
    kinds: dict[str, set[str]] = {}
    for name, kind, stability in rows:
        kinds.setdefault(name, set()).add(
            "volatile" if stability not in (None, "CONSISTENT") else kind
        )
    syntax = {"cast", "coalesce", "extract", "if", "ifnull", "overlay", "try", "try_cast"}
    for name in functions.SCALARS - syntax:
        assert kinds[name] <= {"scalar", "macro", "table", "table_macro"}, name
    aggregates = {
        name for name, found in kinds.items() if "aggregate" in found and name.isidentifier()
    }
    assert aggregates <= functions.AGGREGATES
    assert not functions.SCALARS & (functions.AGGREGATES | functions.VOLATILE)
    assert {name for name, found in kinds.items() if "volatile" in found} - {"error", "stats"} <= (
        functions.VOLATILE
    )


# Narrowing


def test_only_the_places_of_the_scans_are_written_anew() -> None:
    sql = "select customer_id,  count(*) as n -- of all\nfrom visits /* all */ group by all;\n"
    narrower = narrow(sql, ["customer_id"], "touched", views={}, columns=COLUMNS)
    before, after = sql.split("visits")
    assert narrower.startswith(before)
    assert narrower.endswith(f' as "visits"{after}')
    assert '(select * from visits where "customer_id" in (select touched."customer_id"' in narrower


def test_a_query_without_keys_stays_as_it_is() -> None:
    sql = "select max(customer_id) as customer_id from visits"
    assert narrow(sql, ["customer_id"], "touched", views={}, columns=COLUMNS) == sql


def test_a_scan_that_one_use_needs_whole_stays_whole() -> None:
    sql = (
        "with v as (select * from visits) select v.customer_id from v "
        "join (select max(at) as at from v) as m on true"
    )
    assert narrow(sql, ["customer_id"], "touched", views={}, columns=COLUMNS) == sql


def test_a_name_that_the_query_uses_for_itself_cannot_name_the_keys() -> None:
    sql = "with touched as (select * from visits) select * from touched"
    with pytest.raises(PushdownError, match="name of a common table expression"):
        narrow(sql, ["customer_id"], "touched", views={}, columns=COLUMNS)


def test_a_view_whose_names_would_mean_something_else_stays_as_it_is() -> None:
    views = {("v",): "select customer_id from visits"}
    taken = (
        "with visits as (select 1 as customer_id) select customer_id from v union all from visits"
    )
    assert narrow(taken, ["customer_id"], "touched", views=views, columns=COLUMNS) == taken


def test_columns_with_their_schema_spelled_out_keep_the_relation_in_place() -> None:
    sql = "select raw.orders.user_id as customer_id from lake.raw.orders"
    assert narrow(sql, ["customer_id"], "touched", views={}, columns=COLUMNS) == sql
