"""Views and small tables stay as they are while nothing about them has changed, and no longer."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import houses
import pytest
import shops

from boathouse import pipeline
from boathouse.build import prepare_manifest, run_build
from boathouse.errors import BuildError
from boathouse.settings import Settings

CONTRACT = """
models:
  - name: few
    config: {{contract: {{enforced: true}}}}
    columns:
      - {{name: n, data_type: bigint{n}}}
      - {{name: x, data_type: {x}}}
"""


@pytest.fixture
def shop(tmp_path: Path) -> Settings:
    """Return a shop with a view `seen` and a table `few`, both of which have been built."""
    settings = shops.new(tmp_path)
    shops.load_all(settings)
    put(settings, "seen", "view", "select 1 as n, 2.5 as x")
    put(settings, "few", "table", "select cast(n as bigint) as n, x from {{ ref('seen') }}")
    build(settings)
    return settings


def put(settings: Settings, name: str, kind: str, sql: str, **config: Any) -> None:
    told = "".join(f", {key}={value!r}" for key, value in config.items())
    text = f"{{{{ config(materialized='{kind}', contract={{'enforced': False}}{told}) }}}}\n{sql}"
    shops.write_model(settings, name, text)


def build(settings: Settings, *, full_refresh: bool = False) -> list[str]:
    """Build both and return what that has changed in the lake's schema, or in `few`."""
    newest = "select max(snapshot_id) from ducklake_snapshots('lake')"
    ((before,),) = houses.lake_rows(settings, newest)
    run_build(
        settings,
        select=["seen", "few"],
        full_refresh=full_refresh,
        manifest=prepare_manifest(settings),
    ).require_green()
    changes = houses.lake_rows(
        settings,
        "select changes_made from __ducklake_metadata_lake.ducklake_snapshot_changes "
        f"where snapshot_id > {before} and (regexp_matches(changes_made, '(view|table):\"')"
        " or list_has_any(string_split(changes_made, ','), (select list('deleted_from_table:' "
        "|| table_id) from __ducklake_metadata_lake.ducklake_table where table_name = 'few')))",
    )
    kinds = ("created_view", "created_table", "deleted_from_table")
    return [kind for kind in kinds if any(kind in change for (change,) in changes)]


def few(settings: Settings) -> list[tuple[Any, ...]]:
    """Return the rows of the table, as text too."""
    return houses.lake_rows(settings, "select *, columns(*)::varchar from lake.marts.few")


def test_what_has_not_changed_is_not_written(shop: Settings) -> None:
    assert build(shop) == []
    put(shop, "seen", "view", "select\n    1 as n, -- the same, written in another way\n 2.5 AS x")
    assert build(shop) == []


def test_new_rows_are_filled_into_the_table_that_is_there(shop: Settings) -> None:
    put(shop, "seen", "view", "from (values (1, 2.5), (2, null)) as rows (n, x)")
    assert build(shop) == ["created_view", "deleted_from_table"]
    assert [row[:2] for row in few(shop)] == [(1, 2.5), (2, None)]
    put(shop, "seen", "view", "select 1 as n, 2.5 as x where false")
    build(shop)
    assert few(shop) == []
    assert build(shop) == []


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("0.0::double", "-0.0::double"),
        ("interval 30 days", "interval 1 month"),
        ("'a'", "'A'"),
        ("null::integer", "0"),
        ("[1, null]", "[null, 1]"),
    ],
)
def test_values_that_are_equal_or_nearly_so_are_not_the_same(
    shop: Settings, before: str, after: str
) -> None:
    put(shop, "seen", "view", f"select 1 as n, {before} as x")
    build(shop)
    put(shop, "seen", "view", f"select 1 as n, {after} as x")
    assert "deleted_from_table" in build(shop)
    assert few(shop) == houses.lake_rows(
        shop, f"select 1, x, '1', x::varchar from (select {after} as x)"
    )


def test_number_of_equal_rows_counts(shop: Settings) -> None:
    put(shop, "seen", "view", "select 1 as n, 2.5 as x from range(2)")
    assert build(shop) == ["created_view", "deleted_from_table"]
    assert len(few(shop)) == 2


@pytest.mark.parametrize(
    "columns",
    ["n, x, 3 as y", "n", "x, n", "n, x as z", "n, cast(x as double) as x"],
)
def test_table_with_other_columns_is_made_anew(shop: Settings, columns: str) -> None:
    put(shop, "few", "table", f"select {columns} from {{{{ ref('seen') }}}}")
    assert build(shop) == ["created_table"]
    assert houses.lake_rows(shop, "select count(*) from lake.marts.few") == [(1,)]


def test_contract_decides_types_and_constraints(shop: Settings) -> None:
    contract = shop.project / "models" / "marts" / "shop" / "few.yml"
    sql = "select cast(n as bigint) as n, cast(x as decimal(9, 3)) as x from {{ ref('seen') }}"
    shops.write_model(shop, "few", "{{ config(materialized='table') }}" + sql)
    contract.write_text(CONTRACT.format(n="", x="'decimal(9, 3)'"))
    assert build(shop) == ["created_table"]
    assert build(shop) == []
    contract.write_text(CONTRACT.format(n=", constraints: [{type: not_null}]", x="'decimal(9, 3)'"))
    assert build(shop) == ["created_table"]
    assert build(shop) == []
    put(shop, "seen", "view", "select cast(null as integer) as n, 2.5 as x")
    with pytest.raises(BuildError, match="NOT NULL constraint failed"):
        build(shop)
    assert [row[0] for row in few(shop)] == [1]
    put(shop, "seen", "view", "select 'one' as n, 2.5 as x")
    shops.write_model(
        shop, "few", "{{ config(materialized='table') }} select n, x from {{ ref('seen') }}"
    )
    with pytest.raises(BuildError, match="contract"):
        build(shop)


ORDERED = """
models:
  - name: few
    config: {{contract: {{enforced: true}}}}
    columns:
      - {{name: a, data_type: integer}}
      - {{name: b, data_type: {kind}{more}}}
"""


@pytest.mark.parametrize(
    ("kind", "before", "after"),
    [
        ("integer", "2 as b, 1 as a", "1 as b, 2 as a"),
        ("date", "date '2024-01-01' as b, 1 as a", "date '2024-01-02' as b, 1 as a"),
    ],
)
def test_contract_may_name_columns_in_another_order(
    shop: Settings, kind: str, before: str, after: str
) -> None:
    contract = shop.project / "models" / "marts" / "shop" / "few.yml"
    contract.write_text(ORDERED.format(kind=kind, more=""))
    for sql, changes in (
        (before, ["created_table"]),
        (before, []),
        (after, ["deleted_from_table"]),
    ):
        shops.write_model(shop, "few", "{{ config(materialized='table') }} select " + sql)
        assert build(shop) == changes
        found = houses.lake_rows(shop, "select a, b from lake.marts.few")
        assert found == houses.lake_rows(shop, f"select a, b from (select {sql})")


def test_constraints_that_the_lake_cannot_keep_are_refused_as_in_a_new_home(shop: Settings) -> None:
    contract = shop.project / "models" / "marts" / "shop" / "few.yml"
    sql = "{{ config(materialized='table') }} select -1 as a, 2 as b"
    shops.write_model(shop, "few", sql)
    contract.write_text(ORDERED.format(kind="integer", more=""))
    build(shop)
    more = ", constraints: [{type: check, expression: 'b > 3'}]"
    contract.write_text(ORDERED.format(kind="integer", more=more))
    with pytest.raises(BuildError, match="constraint"):
        build(shop)


@pytest.mark.parametrize("left", ["__dbt_backup", "__dbt_tmp"])
def test_what_a_killed_build_has_left_is_cleared_away(shop: Settings, left: str) -> None:
    for name in (f"few{left}", f"seen{left}"):
        kind = "table" if name.startswith("few") else "view"
        houses.execute(shop, f"create {kind} lake.marts.{name} as select 1 as n")
    build(shop)
    assert not houses.lake_rows(
        shop, "select 1 from information_schema.tables where contains(table_name, '__dbt_')"
    )
    assert build(shop) == []


def test_view_with_other_names_for_its_columns_is_made_anew(shop: Settings) -> None:
    houses.execute(
        shop, "create or replace view lake.marts.seen (n, y) as (select 1 as n, 2.5 as x)"
    )
    assert build(shop) == ["created_view"]
    assert houses.lake_rows(shop, "select x from lake.marts.seen") == [(Decimal("2.5"),)]


def test_model_that_is_no_longer_incremental_is_followed_all_the_same(shop: Settings) -> None:
    shops.deliver(shop, "shop_orders", "1", [shops.order(1, 1), shops.order(2, 1, day=2)])
    pipeline.run(shop)
    (path,) = shop.project.rglob("fct_orders.sql")
    incremental = path.read_text()
    children = ("rpt_orders_daily", "dim_customers")
    for number, kind in ((3, "table"), (4, "table"), (5, "incremental"), (6, "incremental")):
        path.write_text(incremental if kind == "incremental" else shops.CONFIG.sub("", incremental))
        shops.deliver(shop, "shop_orders", str(number), [shops.order(number, 1, day=number)])
        pipeline.run(shop)
        assert shops.released(shop, *children) == shops.whole(shop, *children), number


def test_full_refresh_and_layouts_make_it_anew(shop: Settings) -> None:
    assert build(shop, full_refresh=True) == ["created_view", "created_table"]
    put(shop, "few", "table", "select n, x from {{ ref('seen') }}", partitioned_by="n")
    assert build(shop) == ["created_table"]
    assert build(shop) == ["created_table"]
    put(shop, "few", "table", "select n, x from {{ ref('seen') }}")
    assert build(shop) == ["created_table"]
    assert build(shop) == []


def test_large_tables_are_made_anew(shop: Settings) -> None:
    put(shop, "few", "table", "select range as n, 2.5 as x from range(10001)")
    build(shop)
    assert build(shop) == ["created_table"]


def test_table_that_reads_itself_finds_its_rows(shop: Settings) -> None:
    put(shop, "few", "table", "select n + 1 as n, x from {{ this }}")
    build(shop)
    build(shop)
    assert [row[0] for row in few(shop)] == [3]


def test_view_that_its_parents_no_longer_allow_fails(shop: Settings) -> None:
    houses.execute(shop, "create table lake.main.given as select 1 as id, 'a' as name")
    put(shop, "seen", "view", "select id as n, name as x from lake.main.given")
    build(shop)
    houses.execute(shop, "alter table lake.main.given drop column name")
    with pytest.raises(BuildError, match='"name" not found'):
        build(shop)


def test_hooks_run_whether_it_stays_or_not(shop: Settings) -> None:
    houses.execute(shop, "create table lake.main.told (what varchar)")
    tell = "insert into lake.main.told values ('{{ this.identifier }}')"
    for name, kind in (("seen", "view"), ("few", "table")):
        sql = "select 1 as n, 2.5 as x"
        put(shop, name, kind, sql, post_hook=tell)
    build(shop)
    build(shop)
    told = houses.lake_rows(shop, "select what, count(*) from lake.main.told group by all")
    assert sorted(told) == [("few", 2), ("seen", 2)]


def test_table_that_was_filled_again_is_released_as_it_is(shop: Settings) -> None:
    unique = "models: [{name: few, columns: [{name: n, data_tests: [unique, not_null]}]}]"
    (shop.project / "models" / "marts" / "shop" / "few.yml").write_text(unique)
    pipeline.run(shop)
    for rows in ("(1, 3.5), (2, null)", "(2, null), (3, 1.5)", "(3, 1.5), (2, null)"):
        put(shop, "seen", "view", f"from (values {rows}) as rows (n, x)")
        run = pipeline.run(shop)
        assert run.build is not None and run.release is not None
        assert shops.released(shop, "few") == shops.built(shop, "few")
    assert not run.release.is_new  # the same rows, in another order
