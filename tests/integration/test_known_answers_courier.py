"""The answers that `domains.md` gives for the real chats and orders, out of the released marts."""

import pytest
from houses import SHARED_DATA, lake_rows, released_rows, with_real_files

from boathouse.settings import Settings

FACT = "marts.fct_customer_courier_conversations"


@pytest.fixture(scope="module")
def courier(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Return a house with the real messages and orders, released."""
    real = SHARED_DATA / "courier"
    files = {
        "courier_messages": [real / "customer_courier_chat_messages.json"],
        "courier_orders": [real / "orders.json"],
    }
    return with_real_files(tmp_path_factory.mktemp("courier"), "courier", files)


def test_conversations_who_started_them_and_how_many_were_never_answered(
    courier: Settings,
) -> None:
    query = f"""
        select
            count(*),
            count(*) filter (first_message_by = 'courier'),
            count(*) filter (first_responsetime_delay_seconds is null),
            count(city_code)
        from {FACT}
    """
    assert released_rows(courier, query) == [(490, 249, 155, 490)]


def test_messages_of_each_side_and_their_mean_response_time(courier: Settings) -> None:
    query = f"""
        select
            sum(num_messages_courier)::bigint,
            sum(num_messages_customer)::bigint,
            round(avg(first_responsetime_delay_seconds), 2)
        from {FACT}
    """
    assert released_rows(courier, query) == [(1279, 1221, 3083.28)]


def test_last_stage_of_the_orders(courier: Settings) -> None:
    query = f"select last_message_order_stage, count(*) from {FACT} group by all order by all"
    expected = [("DELIVERED", 338), ("DELIVERING", 89), ("PICKING_UP", 63)]
    assert released_rows(courier, query) == expected


def test_cities_add_up_to_all_conversations(courier: Settings) -> None:
    query = """
        select sum(conversations)::bigint, sum(answered)::bigint, sum(started_by_courier)::bigint
        from marts.rpt_courier_response_by_city
    """
    assert released_rows(courier, query) == [(490, 335, 249)]


def test_orders_without_a_message(courier: Settings) -> None:
    query = """
        select count(distinct order_id)
        from lake.staging.stg_courier__orders
        where order_id not in (from lake.marts.fct_customer_courier_conversations select order_id)
    """
    assert lake_rows(courier, query) == [(110,)]
