"""Audits: what a full refresh would give is compared with what models hold."""

from pathlib import Path

import houses
import pytest
import shops
from support.shared import made_once

from boathouse import pipeline
from boathouse.audit import AuditReport, audit
from boathouse.errors import ReleaseError
from boathouse.release import release
from boathouse.settings import Settings


@pytest.fixture(scope="session")
def _shop(request: pytest.FixtureRequest) -> Settings:
    return made_once(request, "audited-shop", _open_shop)


@pytest.fixture
def shop(_shop: Settings, tmp_path: Path) -> Settings:
    return shops.copy(_shop, tmp_path)


def _open_shop(folder: Path) -> Settings:
    settings = shops.new(folder)
    orders = [shops.order(number, number % 5, day=1 + number % 9) for number in range(40)]
    shops.deliver(settings, "shop_orders", "1", orders)
    shops.deliver(settings, "shop_payments", "1", [(n, n, 100 * n) for n in range(1, 30)])
    pipeline.run(settings)
    return settings


def differing(report: AuditReport) -> dict[str, int]:
    return {each.model: each.differences for each in report.models if each.differences}


def test_audit_of_what_builds_have_made_finds_nothing(shop: Settings) -> None:
    shops.deliver(shop, "shop_orders", "2", [shops.order(1, 2, hour=9)])
    pipeline.run(shop)
    report = audit(shop, share=1)
    assert report.is_right
    compared = {each.model: each.keys for each in report.models}
    assert compared["lake.marts.fct_orders"] == 40
    assert not [each for each in report.models if each.skipped]


@pytest.mark.parametrize(
    "change",
    [
        "update lake.marts.fct_orders set status = 'lost' where order_id = 7",
        "delete from lake.marts.fct_orders where order_id = 7",
        "insert into lake.marts.fct_orders from lake.marts.fct_orders where order_id = 7",
        "insert into lake.marts.fct_orders select 777, * exclude (order_id) "
        "from lake.marts.fct_orders where order_id = 7",
    ],
    ids=["changed", "gone", "doubled", "made_up"],
)
def test_row_that_is_changed_by_hand_is_named_and_made_right_by_the_next_run(
    shop: Settings, change: str
) -> None:
    right = shops.whole(shop, "fct_orders", "dim_customers", "rpt_orders_daily")
    houses.execute(shop, change)
    report = audit(shop, share=1)
    assert differing(report)["lake.marts.fct_orders"] == 1
    (found,) = next(each.shown for each in report.models if each.model == "lake.marts.fct_orders")
    assert found.key == {"order_id": 777 if "777" in change else 7}
    assert found.has != found.should_have
    with pytest.raises(ReleaseError, match="an audit found 1 of its keys to differ"):
        release(shop)
    pipeline.run(shop)
    assert shops.released(shop, *right) == right
    assert audit(shop, share=1).is_right


def test_keys_that_changed_since_the_last_audit_are_all_compared(shop: Settings) -> None:
    assert audit(shop, share=0).is_right
    shops.deliver(shop, "shop_orders", "2", [shops.order(1, 2, hour=9)])
    pipeline.run(shop)
    houses.execute(shop, "update lake.marts.fct_orders set status = 'lost' where order_id = 1")
    report = audit(shop, share=0)
    assert differing(report)["lake.marts.fct_orders"] == 1
    keys = {each.model: each.keys for each in report.models}
    assert keys["lake.marts.fct_orders"] == 1


def test_share_of_the_keys_is_compared(shop: Settings) -> None:
    audit(shop, share=0)
    report = audit(shop, share=0.5, seed=7)
    keys = {each.model: each.keys for each in report.models}
    assert 5 < keys["lake.marts.fct_orders"] < 35


def test_models_that_are_out_of_date_and_those_beyond_the_time_are_skipped(shop: Settings) -> None:
    shops.deliver(shop, "shop_orders", "2", [shops.order(1, 2, hour=9)])
    shops.load_all(shop)
    report = audit(shop, share=1)
    assert {each.skipped for each in report.models if "fct_orders" in each.model} == {
        "it is out of date: load 3 of shop_orders came since"
    }
    pipeline.run(shop)
    late = audit(shop, share=1, seconds=0)
    assert {each.skipped for each in late.models} == {"the time was over"}
    assert late.is_right


def test_table_that_was_changed_by_hand_is_made_right_by_the_next_run(shop: Settings) -> None:
    shops.write_model(
        shop,
        "statuses",
        "{{ config(materialized='table', contract={'enforced': false}) }}\n"
        "select status, count(*) as orders from {{ ref('fct_orders') }} group by status\n",
    )
    pipeline.run(shop)
    houses.execute(shop, "update lake.marts.statuses set orders = 1")
    assert differing(audit(shop, share=1)) == {"lake.marts.statuses": 2}, "a row more, one less"
    pipeline.run(shop)
    assert shops.released(shop, "statuses")["statuses"] == [("placed", 40)]
    assert audit(shop, share=1).is_right
