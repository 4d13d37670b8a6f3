"""Incremental models that cannot lie: whatever a user does, the marts are those of a full refresh.

Each test is a thing that people do with dbt: a flag, an edit, another target, a mistake.
"""

import json
from pathlib import Path

import houses
import pytest
import shops
from support.shared import made_once

from boathouse import pipeline
from boathouse.build import prepare_manifest, run_build
from boathouse.contracts import load_contracts
from boathouse.errors import BoathouseError, BuildError
from boathouse.ingest.loader import load
from boathouse.release import release
from boathouse.settings import Settings

MARTS = ("fct_orders", "dim_customers", "rpt_orders_daily")


@pytest.fixture(scope="session")
def _shop(request: pytest.FixtureRequest) -> Settings:
    return made_once(request, "shop", _open_shop)


def _open_shop(folder: Path) -> Settings:
    settings = shops.new(folder)
    orders = [shops.order(number, number % 5, day=1 + number % 9) for number in range(40)]
    shops.deliver(settings, "shop_orders", "1", orders)
    shops.deliver(settings, "shop_payments", "1", [(n, n, 100 * n) for n in range(1, 30)])
    shops.deliver(settings, "shop_customers", "1", [(n, f"customer {n}") for n in range(4)])
    pipeline.run(settings)
    return settings


@pytest.fixture
def shop(_shop: Settings, tmp_path: Path) -> Settings:
    """Return settings for a shop that is open, with a project of its own."""
    return shops.copy(_shop, tmp_path)


def is_right(settings: Settings, *models: str) -> bool:
    """Return whether readers see what the models' SQL says of all rows."""
    return shops.released(settings, *(models or MARTS)) == shops.whole(settings, *(models or MARTS))


def deliver_more(settings: Settings) -> None:
    """Put an order that moves to another customer and day into landing, and two new ones."""
    shops.deliver(
        settings,
        "shop_orders",
        "2",
        [
            shops.order(7, 4, day=12, hour=9),
            shops.order(100, 2, day=3),
            shops.order(101, 9, day=20),
        ],
    )
    shops.deliver(settings, "shop_payments", "2", [(200, 0, 999), (201, 100, 5)])


def test_late_moved_and_taken_back_rows_give_what_a_full_refresh_gives(shop: Settings) -> None:
    deliver_more(shop)
    pipeline.run(shop)
    assert is_right(shop)
    shops.deliver(shop, "shop_orders", "2", [shops.order(101, 9, day=21)])
    pipeline.run(shop)
    assert is_right(shop)
    assert (101, 9) in {row[:2] for row in shops.released(shop, "fct_orders")["fct_orders"]}


@pytest.mark.parametrize(
    "flags",
    [
        ("--empty",),
        ("--sample", "1 hour"),
        ("--event-time-start", "2024-02-01", "--event-time-end", "2024-02-02"),
        ("--empty", "--full-refresh"),
    ],
    ids=["empty", "sample", "event_time", "empty_full_refresh"],
)
def test_build_whose_input_was_cut_is_never_released_and_the_next_run_heals_it(
    shop: Settings, flags: tuple[str, ...]
) -> None:
    deliver_more(shop)
    shops.load_all(shop)
    before = shops.released(shop, *MARTS)
    history = "select count(*) from lake.snapshots.snap_orders where dbt_valid_to is not null"
    ended = houses.lake_rows(shop, history)
    assert houses.dbt(shop, "build", *flags).returncode == 0
    assert houses.lake_rows(shop, history) == ended, "nothing was deleted, it was not looked at"
    with pytest.raises(BoathouseError, match="lacks rows"):
        release(shop)
    assert shops.released(shop, *MARTS) == before
    pipeline.run(shop)
    assert is_right(shop)


def test_first_build_of_all_with_empty_is_healed_by_the_next_run(tmp_path: Path) -> None:
    settings = shops.new(tmp_path)
    shops.deliver(settings, "shop_orders", "1", [shops.order(1, 1), shops.order(2, 1)])
    shops.load_all(settings)
    assert houses.dbt(settings, "build", "--empty").returncode == 0
    pipeline.run(settings)
    assert is_right(settings)
    assert len(shops.released(settings, "fct_orders")["fct_orders"]) == 2


def add_dev_target(settings: Settings) -> None:
    """Give a project the target and macro that dbt's users have for a schema of their own."""
    profiles = settings.project / "profiles.yml"
    text = profiles.read_text()
    start = text.index("    local:")
    local = text[start:]
    profiles.write_text(
        text + local.replace("    local:", "    dev:").replace("schema: main", "schema: dev")
    )
    (settings.project / "macros" / "generate_schema_name.sql").write_text(
        "{% macro generate_schema_name(custom_schema_name, node) -%}\n"
        "{%- if target.name == 'dev' -%}{{ target.schema }}_{{ custom_schema_name or 'main' }}\n"
        "{%- else -%}{{ custom_schema_name or target.schema }}{%- endif -%}\n"
        "{%- endmacro %}\n"
    )


def test_what_another_target_has_read_is_still_new_to_this_one(shop: Settings) -> None:
    add_dev_target(shop)
    pipeline.run(shop)
    dev = ("run", "--select", "+fct_orders", "--target", "dev")
    assert houses.dbt(shop, *dev).returncode == 0
    deliver_more(shop)
    shops.load_all(shop)
    assert houses.dbt(shop, *dev).returncode == 0
    expected = shops.whole(shop, "fct_orders")
    assert shops.built(shop, "fct_orders", schema="dev_marts") == expected
    pipeline.run(shop)
    assert is_right(shop)


def test_models_of_one_alias_in_two_schemas_keep_their_own_state(shop: Settings) -> None:
    for letter in "ab":
        shops.write_model(
            shop,
            f"orders_{letter}",
            "{{ config(materialized='incremental', incremental_strategy='touched',\n"
            f"    schema='std_{letter}', alias='same', unique_key='order_id',\n"
            "    contract={'enforced': false}) }}\n"
            "select order_id, max(updated_at) as updated_at\n"
            "from {{ ref('stg_shop__orders') }}\n"
            "group by order_id\n",
        )
    pipeline.run(shop)
    for file in ("2", "3"):
        number = int(file) * 1000
        shops.deliver(shop, "shop_orders", file, [shops.order(number, 1), shops.order(1, 1)])
        run_build(shop, select=["orders_a"]).require_green()
        pipeline.run(shop)
    for letter in "ab":
        rows = shops.built(shop, "same", schema=f"std_{letter}")["same"]
        assert rows == shops.whole(shop, f"orders_{letter}")[f"orders_{letter}"]


def test_query_that_returns_rows_of_other_keys_doubles_nothing(shop: Settings) -> None:
    # `{{ this }}` hides nothing from the strategy: all orders come back from this query each time.
    shops.write_model(
        shop,
        "unguarded",
        "{{ config(materialized='incremental', incremental_strategy='touched',\n"
        "    unique_key='order_id', contract={'enforced': false}) }}\n"
        "select order_id, count(*) as deliveries from {{ ref('stg_shop__orders') }}\n"
        "{% if is_incremental() %} where 1 = 1 {% endif %}\n"
        "group by order_id\n",
    )
    pipeline.run(shop)
    count = "select count(*), count(distinct order_id) from lake.marts.unguarded"
    assert houses.lake_rows(shop, count) == [(40, 40)]
    run_build(shop, select=["unguarded"]).require_green()
    assert houses.lake_rows(shop, count) == [(40, 40)]
    deliver_more(shop)
    pipeline.run(shop)
    assert houses.lake_rows(shop, count) == [(42, 42)]


def test_unique_key_that_rows_share_works_and_is_told_its_other_name(shop: Settings) -> None:
    shops.write_model(
        shop,
        "orders_of_customers",
        "{{ config(materialized='incremental', incremental_strategy='touched',\n"
        "    unique_key='customer_id', contract={'enforced': false}) }}\n"
        "select customer_id, order_id from {{ ref('stg_shop__orders') }}\n",
    )
    pipeline.run(shop)
    deliver_more(shop)
    shops.load_all(shop)
    typed = houses.dbt(shop, "run", "--select", "orders_of_customers")
    said = " ".join(typed.stdout.split())
    assert "has several rows for one value of its `unique_key`" in said
    assert "`meta.touched_by`" in said
    rows = shops.built(shop, "orders_of_customers")
    assert rows == shops.whole(shop, "orders_of_customers")


PARENTS = {
    "merge": "{{ config(materialized='incremental', incremental_strategy='merge', "
    "unique_key='order_id', {} contract={{'enforced': false}}) }}",
    "delete+insert": "{{ config(materialized='incremental', incremental_strategy='delete+insert', "
    "unique_key='order_id', contract={'enforced': false}) }}",
    "table": "{{ config(materialized='table', contract={'enforced': false}) }}",
    "view": "{{ config(materialized='view', contract={'enforced': false}) }}",
    "ephemeral": "{{ config(materialized='ephemeral', contract={'enforced': false}) }}",
    "touched": "{{ config(materialized='incremental', incremental_strategy='touched', "
    "unique_key='order_id', contract={'enforced': false}) }}",
}
LATEST = """
select order_id, customer_id, status, _load_id
from {{ ref('stg_shop__orders') }}
%s
qualify row_number() over (partition by order_id order by updated_at desc, _load_id desc) = 1
"""
NEWER = (
    "{% if is_incremental() %} where _load_id > (select max(_load_id) from {{ this }}) {% endif %}"
)


@pytest.mark.parametrize("kind", PARENTS)
def test_parent_of_any_kind_is_followed_without_being_declared(shop: Settings, kind: str) -> None:
    where = NEWER if kind in ("merge", "delete+insert") else ""
    config = PARENTS[kind].replace("{}", "").replace("{{'", "{'").replace("}}) }}", "}) }}")
    shops.write_model(shop, "latest", config + LATEST % where)
    shops.write_model(
        shop,
        "per_customer",
        "{{ config(materialized='incremental', incremental_strategy='touched',\n"
        "    unique_key='customer_id', contract={'enforced': false}) }}\n"
        "select customer_id, count(*) as orders from {{ ref('latest') }} group by customer_id\n",
    )
    pipeline.run(shop)
    deliver_more(shop)
    pipeline.run(shop)
    expected = houses.lake_rows(
        shop,
        "select customer, count(*) from (from lake.raw.shop_orders qualify row_number() over "
        "(partition by id order by updated_at desc, _load_id desc) = 1) group by customer",
    )
    assert shops.released(shop, "per_customer")["per_customer"] == shops.ordered(expected)


def test_seed_that_is_edited_reaches_the_incremental_model_that_reads_it(shop: Settings) -> None:
    seed = shop.project / "seeds" / "names.csv"
    seed.parent.mkdir(exist_ok=True)
    seed.write_text("status,label\nplaced,Placed\n")
    shops.write_model(
        shop,
        "labelled",
        "{{ config(materialized='incremental', incremental_strategy='touched',\n"
        "    unique_key='order_id', contract={'enforced': false}) }}\n"
        "select o.order_id, n.label from {{ ref('fct_orders') }} as o\n"
        "left join {{ ref('names') }} as n on o.status = n.status\n",
    )
    pipeline.run(shop)
    seed.write_text("status,label\nplaced,Ordered\n")
    pipeline.run(shop)
    labels = {row[1] for row in shops.released(shop, "labelled")["labelled"]}
    assert labels == {"Ordered"}


WRONG = {
    "misspelled_option": (
        "unique_key='order_id', meta={'follow': [{'source': 'shop_orders'}]}",
        r"wrong \(models/marts/shop/wrong.sql\): `meta.follow` means nothing.*`meta.follows`",
    ),
    "misspelled_model": (
        "unique_key='order_id', meta={'follows': [{'model': 'fct_order'}]}",
        r"wrong .*follows the model fct_order, which it does not read. It reads: .*"
        r"source shop_orders.* leave the entry out",
    ),
    "view": (
        "unique_key='order_id', meta={'follows': [{'model': 'stg_shop__orders'}]}",
        r"stg_shop__orders, which is a view .*source shop_orders",
    ),
    "no_key": ("", r"wrong .*has none. Give it a `unique_key`"),
    "wrong_column": (
        "unique_key='order_id', meta={'follows': [{'source': 'shop_orders', 'keys': ['idd']}]}",
        r"source shop_orders has no column idd; its columns are customer, id",
    ),
    "missing_column": (
        "unique_key='order_id', meta={'follows': [{'source': 'shop_orders'}]}",
        r"source shop_orders has no column order_id.*`keys`",
    ),
    "too_many_keys": (
        "unique_key='order_id', "
        "meta={'follows': [{'source': 'shop_orders', 'keys': ['id', 'status']}]}",
        r"gives 2 `keys` \(id, status\), but needs one for each of order_id",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_declaration_that_cannot_be_true_is_refused_when_the_project_is_parsed(
    shop: Settings, case: str
) -> None:
    config, said = WRONG[case]
    shops.write_model(
        shop,
        "wrong",
        "{{ config(materialized='incremental', incremental_strategy='touched', "
        f"{config}{',' if config else ''} contract={{'enforced': false}}) }}}}\n"
        "select order_id, max(status) as status from {{ ref('stg_shop__orders') }} group by 1\n",
    )
    with pytest.raises(BuildError, match=said):
        prepare_manifest(shop)
    by_hand = houses.dbt(shop, "build", "--select", "wrong")
    assert by_hand.returncode != 0
    assert "cannot be" in by_hand.stdout


def test_edited_rule_is_applied_to_rows_that_were_built_before(shop: Settings) -> None:
    shops.edit(shop, "fct_orders.sql", "orders.status,", "upper(orders.status) as status,")
    pipeline.run(shop)
    assert is_right(shop)
    assert {row[3] for row in shops.released(shop, "fct_orders")["fct_orders"]} == {"PLACED"}


def test_edited_view_and_macro_are_applied_to_rows_that_were_built_before(shop: Settings) -> None:
    shops.edit(shop, "stg_shop__payments.sql", "cents\n", "2 * cents as cents\n")
    pipeline.run(shop)
    assert is_right(shop)
    macro = shop.project / "macros" / "discounted.sql"
    macro.write_text("{% macro discounted(cents) %}{{ cents }} - 1{% endmacro %}")
    shops.edit(
        shop, "rpt_orders_daily.sql", "sum(paid_cents)", "sum({{ discounted('paid_cents') }})"
    )
    pipeline.run(shop)
    sum_of = "select sum(paid_cents) from lake.marts.rpt_orders_daily"
    ((before,),) = houses.lake_rows(shop, sum_of)
    macro.write_text("{% macro discounted(cents) %}{{ cents }} - 2{% endmacro %}")
    pipeline.run(shop)
    assert houses.lake_rows(shop, sum_of) == [(before - 40,)]


def test_column_that_is_added_is_there_for_all_rows(shop: Settings) -> None:
    shops.edit(
        shop,
        "rpt_orders_daily.sql",
        "    count(*) as orders,",
        "    count(*) as orders,\n    max(order_id) as last_order_id,",
    )
    shops.edit(
        shop,
        "rpt_orders_daily.yml",
        "      - {name: orders, data_type: bigint}",
        "      - {name: orders, data_type: bigint}\n"
        "      - {name: last_order_id, data_type: bigint}",
    )
    pipeline.run(shop)
    assert is_right(shop)


def test_type_that_becomes_wider_bends_no_value(shop: Settings) -> None:
    config = "{{ config(materialized='incremental', incremental_strategy='touched', "
    rest = "on_schema_change='ignore', contract={'enforced': false}) }}\n"
    payments = "{{ ref('stg_shop__payments') }}"
    shops.write_model(
        shop,
        "near",
        config
        + "unique_key='payment_id', "
        + rest
        + f"select payment_id, max(cents) as cents from {payments} group by 1\n",
    )
    shops.write_model(
        shop,
        "far",
        config
        + "unique_key='payment_id', "
        + rest
        + "select payment_id, cents from {{ ref('near') }}\n",
    )
    run_build(shop, select=["+far"]).require_green()
    contracts = shop.project / "models/staging/shop/_shop__sources.yml"
    text = contracts.read_text()
    contracts.write_text(
        text.replace(
            "{name: cents, data_type: bigint}", "{name: cents, data_type: 'decimal(18,2)'}"
        )
    )
    shops.deliver(shop, "shop_payments", "9", [(900, 0, 1.5)])
    load(shop, load_contracts(shop.project))
    report = run_build(shop, select=["+far"])
    failed = {each.name: each.message for each in report.results if each.status == "error"}
    assert list(failed) == ["far"]
    assert "cents is DECIMAL(18,2) now, and was BIGINT" in failed["far"]
    assert "boathouse build --full-refresh --select far+" in failed["far"]
    run_build(shop, select=["far"], full_refresh=True).require_green()
    new = "select cents::varchar from lake.marts.far where payment_id = 900"
    assert houses.lake_rows(shop, new) == [("1.50",)]


def test_parent_that_is_added_is_followed_from_then_on(shop: Settings) -> None:
    shops.edit(
        shop,
        "rpt_orders_daily.sql",
        "from {{ ref('fct_orders') }}\n",
        "from (select ordered_on, paid_cents from {{ ref('fct_orders') }} union all\n"
        "select stg_shop__orders.ordered_on, stg_shop__payments.cents\n"
        "from {{ ref('stg_shop__orders') }}\n"
        "inner join {{ ref('stg_shop__payments') }}\n"
        "on stg_shop__orders.order_id = stg_shop__payments.order_id) as days\n",
    )
    pipeline.run(shop)
    assert is_right(shop)
    deliver_more(shop)
    pipeline.run(shop)
    assert is_right(shop)


def test_column_that_is_tracked_from_now_on_is_noted_and_nothing_is_missed(shop: Settings) -> None:
    shops.edit(
        shop,
        "fct_orders.sql",
        "unique_key='order_id')",
        "unique_key='order_id', meta={'tracks': ['status', 'order_id']})",
    )
    deliver_more(shop)
    pipeline.run(shop)
    assert is_right(shop)
    notes = 'select count(status) > 0 from lake.changes."marts.fct_orders"'
    assert houses.lake_rows(shop, notes) == [(True,)]
    shops.deliver(shop, "shop_orders", "3", [shops.order(8, 3, day=13, hour=10)])
    pipeline.run(shop)
    assert is_right(shop)


@pytest.mark.parametrize(
    ("file", "before", "after"),
    [
        (
            "fct_orders.sql",
            "-- A payment may be delivered twice.",
            "-- Twice, some payments come.\n",
        ),
        ("fct_orders.yml", "One row per order as", "One row for each order as"),
        ("dim_customers.sql", "with\n", "{# a comment #}\n\nwith\n\n"),
    ],
)
def test_comment_and_description_build_nothing(
    shop: Settings, file: str, before: str, after: str
) -> None:
    shops.edit(shop, file, before, after)
    assert pipeline.run(shop).build is None


def test_description_that_is_edited_is_released_without_a_build(shop: Settings) -> None:
    shops.edit(shop, "fct_orders.yml", "One row per order as", "One row for each order as")
    report = pipeline.run(shop)
    assert report.build is None
    assert report.release is not None and report.release.is_new
    comment = "select comment from duckdb_tables() where table_name = 'fct_orders'"
    assert "One row for each order" in houses.released_rows(shop, comment)[0][0]


def test_edit_of_a_model_builds_it_and_what_follows_it_and_nothing_else(shop: Settings) -> None:
    shops.edit(shop, "rpt_orders_daily.sql", "count(*) as orders", "count(*) + 0 as orders")
    report = pipeline.run(shop)
    assert report.build is not None
    made = {result.name for result in report.build.results if result.kind == "model"}
    assert made == {"rpt_orders_daily"}


def test_edit_that_may_not_rebuild_is_refused_with_the_command_to_run(shop: Settings) -> None:
    careful = shop.model_copy(update={"rebuild": "refuse"})
    shops.edit(shop, "rpt_orders_daily.sql", "count(*) as orders", "count(*) + 0 as orders")
    with pytest.raises(
        BuildError, match=r"its code has changed.*--full-refresh --select rpt_orders_daily"
    ):
        pipeline.run(careful)
    run_build(careful, select=["rpt_orders_daily"], full_refresh=True).require_green()
    assert pipeline.run(careful).build is None


def test_green_build_leaves_nothing_for_the_next_run(shop: Settings) -> None:
    deliver_more(shop)
    shops.load_all(shop)
    assert pipeline.plan(shop)[0].reasons
    run_build(shop).require_green()
    assert pipeline.plan(shop)[0].is_empty
    assert pipeline.run(shop).build is None
    assert is_right(shop)


def test_build_of_a_part_leaves_the_rest_for_the_next_run(shop: Settings) -> None:
    deliver_more(shop)
    shops.load_all(shop)
    for part in (["fct_orders"], ["stg_shop__orders", "dim_customers"], ["rpt_orders_daily"]):
        run_build(shop, select=part).require_green()
        with pytest.raises(BoathouseError, match=r"fct_orders was made anew|has not seen load"):
            release(shop)
    pipeline.run(shop)
    assert is_right(shop)


def test_clone_of_a_target_onto_itself_is_refused(shop: Settings) -> None:
    assert houses.dbt(shop, "parse").returncode == 0
    state = shop.home_folder / "state"
    state.mkdir()
    manifest = shop.home_folder / "by-hand" / "target" / "manifest.json"
    (state / "manifest.json").write_text(manifest.read_text())
    before = shops.built(shop, *MARTS), houses.lake_rows(shop, "from lake.snapshots.snap_orders")
    done = houses.dbt(shop, "clone", "--state", str(state), "--full-refresh")
    assert done.returncode != 0
    assert "clone of itself" in done.stdout
    views = (
        "select view_name from duckdb_views() "
        "where database_name = 'lake' and schema_name in ('marts', 'snapshots')"
    )
    assert houses.lake_rows(shop, views) == []
    after = shops.built(shop, *MARTS), houses.lake_rows(shop, "from lake.snapshots.snap_orders")
    assert after == before


def test_clone_replaces_no_table_and_no_snapshot(shop: Settings) -> None:
    add_dev_target(shop)
    assert houses.dbt(shop, "build", "--target", "dev").returncode == 0
    manifest = shop.home_folder / "by-hand" / "target" / "manifest.json"
    assert "dev_marts" in json.dumps(json.loads(manifest.read_text())["nodes"])
    state = shop.home_folder / "state"
    state.mkdir()
    (state / "manifest.json").write_text(manifest.read_text())
    done = houses.dbt(shop, "clone", "--state", str(state), "--full-refresh")
    assert done.returncode != 0
    assert "would replace it by a view" in done.stdout
    assert "history of a snapshot" in done.stdout
    pipeline.run(shop)
    assert is_right(shop)


def test_model_that_depends_on_the_moment_is_made_anew_each_time(shop: Settings) -> None:
    shops.write_model(
        shop,
        "aged",
        "{{ config(materialized='incremental', incremental_strategy='touched',\n"
        "    unique_key='order_id', contract={'enforced': false}) }}\n"
        "select order_id, now() as made_at from {{ ref('fct_orders') }}\n",
    )
    pipeline.run(shop)
    shops.deliver(shop, "shop_orders", "2", [shops.order(500, 1)])
    pipeline.run(shop)
    assert houses.lake_rows(shop, "select count(distinct made_at) from lake.marts.aged") == [(1,)]


def test_rows_ranked_by_another_key_before_are_counted_for_the_right_one(shop: Settings) -> None:
    # A customer's figures depend on orders that are not this customer's any more.
    shops.write_model(
        shop,
        "latest_per_customer",
        "{{ config(materialized='incremental', incremental_strategy='touched',\n"
        "    unique_key='customer_id', contract={'enforced': false},\n"
        "    meta={'follows': [{'source': 'shop_orders', 'keys': ['customer']}]}) }}\n"
        "select customer_id, count(*) as orders\n"
        "from (select * from {{ ref('stg_shop__orders') }} qualify row_number() over (\n"
        "    partition by order_id order by updated_at desc, _load_id desc) = 1) as latest\n"
        "group by customer_id\n",
    )
    shops.edit(
        shop,
        "latest_per_customer.sql",
        ",\n    meta={'follows': [{'source': 'shop_orders', 'keys': ['customer']}]}",
        "",
    )
    pipeline.run(shop)
    deliver_more(shop)
    pipeline.run(shop)
    assert is_right(shop, "latest_per_customer")
