"""Models that combine, through dbt: what is new is added, and nothing else is read."""

from pathlib import Path

import houses
import pytest
import shops
from support.homes import clone
from support.shared import made_once

from boathouse import pipeline
from boathouse.build import run_build
from boathouse.errors import BuildError
from boathouse.settings import Settings

CONFIG = (
    "{{{{ config(materialized='incremental', incremental_strategy='touched', "
    "unique_key='{key}', contract={{'enforced': false}}) }}}}\n"
)
PAYMENTS = CONFIG.format(key="order_id") + (
    "select order_id, cast(cents as bigint) as cents, highest from (\n"
    "    {% call(payments) combined(ref('stg_shop__payments'), by='order_id',\n"
    "        columns={'cents': 'sum', 'highest': 'max'}) %}\n"
    "    select order_id, cents, cents as highest from {{ payments }}\n"
    "    {% endcall %}\n"
    ") as combined\n"
)
CUSTOMERS = CONFIG.format(key="customer_id") + (
    "select customer_id, last_ordered_on, last_status, cast(orders as bigint) as orders from (\n"
    "    {% call(orders) combined(ref('fct_orders'), by='customer_id', columns={\n"
    "        'last_ordered_on': 'max', 'last_status': 'last by last_ordered_on',\n"
    "        'orders': 'sum'}) %}\n"
    "    select customer_id, ordered_on as last_ordered_on, status as last_status, 1 as orders\n"
    "    from {{ orders }}\n"
    "    {% endcall %}\n"
    ") as combined\n"
)
EXPECTED = {
    "sum_payments": "select order_id, sum(cents)::bigint, max(cents) from ({payments}) "
    "group by order_id",
    "sum_customers": "select customer_id, max(ordered_on), "
    "max({{'on': ordered_on, 's': status}}).s, count(*) from lake.marts.fct_orders "
    "group by customer_id",
}


@pytest.fixture(scope="session")
def _shop(request: pytest.FixtureRequest) -> Settings:
    return made_once(request, "shop_that_combines", _open_shop)


def _open_shop(folder: Path) -> Settings:
    settings = shops.new(folder)
    staging = settings.project / "models" / "staging" / "shop" / "stg_shop__payments.sql"
    # As sources are staged, with the number of the load.
    staging.write_text(
        "select id as payment_id, order_id, cents, _load_id "
        "from {{ source('raw', 'shop_payments') }}"
    )
    shops.write_model(settings, "sum_payments", PAYMENTS)
    shops.write_model(settings, "sum_customers", CUSTOMERS)
    orders = [shops.order(number, number % 3, day=1 + number % 9) for number in range(12)]
    shops.deliver(settings, "shop_orders", "1", orders)
    shops.deliver(settings, "shop_payments", "1", [(n, n % 5, 100 * n) for n in range(1, 12)])
    pipeline.run(settings)
    return settings


@pytest.fixture
def shop(_shop: Settings, tmp_path: Path) -> Settings:
    """Return settings for a shop that is open; its project is not changed."""
    return clone(_shop, tmp_path / "data")


def sql_that_ran(settings: Settings, model: str) -> str:
    (path,) = (settings.home_folder / "dbt" / "target" / "compiled").rglob(f"{model}.sql")
    return path.read_text()


def require_right(settings: Settings) -> None:
    payments = "select order_id, cents from lake.raw.shop_payments"
    for model, sql in EXPECTED.items():
        expected = houses.lake_rows(settings, sql.format(payments=payments))
        found = houses.lake_rows(settings, f"from lake.marts.{model}")
        assert shops.ordered(found) == shops.ordered(expected), model


def test_new_rows_are_added_to_what_is_known_and_no_others_are_read(shop: Settings) -> None:
    shops.deliver(shop, "shop_payments", "2", [(50, 2, 7), (51, 80, 9)])
    shops.deliver(shop, "shop_orders", "2", [shops.order(70, 1, day=20), shops.order(71, 8)])
    pipeline.run(shop)
    require_right(shop)
    assert "where _load_id > " in sql_that_ran(shop, "sum_payments")
    assert "_lost" not in sql_that_ran(shop, "sum_payments")
    assert "_change" in sql_that_ran(shop, "sum_customers")


def test_key_that_lost_rows_is_combined_from_all_of_them(shop: Settings) -> None:
    shops.deliver(shop, "shop_payments", "2", [(50, 2, 7_000), (51, 80, 9)])
    shops.deliver(shop, "shop_orders", "2", [shops.order(70, 1, day=20), shops.order(71, 8)])
    pipeline.run(shop)
    # Taken back: the highest payment of 2, all of 80; the latest order of 1, all of 8.
    shops.deliver(shop, "shop_payments", "2", [(50, 2, 7), (52, 3, 1)])
    shops.deliver(shop, "shop_orders", "2", [shops.order(72, 2, day=3)])
    pipeline.run(shop)
    require_right(shop)
    assert "_lost" in sql_that_ran(shop, "sum_payments")
    assert houses.lake_rows(shop, "from lake.marts.sum_payments where order_id = 80") == []
    assert houses.lake_rows(shop, "from lake.marts.sum_customers where customer_id = 8") == []


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        (
            "as combined\n",
            "as combined where cents > 100\n",
            "sum_payments has `where` after it has combined",
        ),
        (
            "as cents, highest from",
            "as cents, coalesce(highest, 0) as highest from",
            "sum_payments combines highest, but what it returns as highest is not that",
        ),
        (
            "select order_id, cents, cents as highest",
            "select order_id, cents / 2 as cents, cents as highest",
            "sum_payments adds up cents, a double",
        ),
        (
            "by='order_id'",
            "by='payment_id'",
            "Add order_id to `by`",
        ),
    ],
)
def test_model_whose_table_would_not_know_what_it_combined_is_refused_at_its_first_build(
    tmp_path: Path, before: str, after: str, said: str
) -> None:
    settings = shops.new(tmp_path)
    assert before in PAYMENTS
    shops.write_model(settings, "sum_payments", PAYMENTS.replace(before, after))
    with pytest.raises(BuildError) as refused:
        run_build(settings, select=["+sum_payments"]).require_green()
    assert said in str(refused.value)


def test_microbatch_model_whose_code_changed_is_made_anew(tmp_path: Path) -> None:
    settings = shops.new(tmp_path)
    shops.write_model(
        settings,
        "by_batch",
        "{{ config(materialized='incremental', incremental_strategy='microbatch', "
        "event_time='updated_at', batch_size='month', begin='2024-01-01', lookback=0, "
        "contract={'enforced': false}) }}\n"
        "select order_id, updated_at, 'old' as rule from {{ ref('stg_shop__orders') }}\n",
    )
    shops.deliver(settings, "shop_orders", "1", [shops.order(1, 1), shops.order(2, 1)])
    pipeline.run(settings)
    rules = "select rule, count(*) from lake.marts.by_batch group by rule"
    assert houses.lake_rows(settings, rules) == [("old", 2)]
    shops.edit(settings, "by_batch.sql", "'old'", "'new'")
    pipeline.run(settings)
    assert houses.lake_rows(settings, rules) == [("new", 2)]
