"""The demo chats and orders hold the oddities they promise."""

import json
from collections import Counter
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from boathouse.demo import DemoOptions, generate

UNTIL = date(2024, 3, 10)
Batches = list[list[dict[str, Any]]]


def batches(landing: Path, source: str, options: DemoOptions) -> Batches:
    return [json.loads(file.path.read_text()) for file in generate(landing, [source], options)]


@pytest.fixture(scope="module")
def messages(tmp_path_factory: pytest.TempPathFactory) -> Batches:
    return batches(tmp_path_factory.mktemp("m"), "courier_messages", DemoOptions(until=UNTIL))


@pytest.fixture(scope="module")
def orders(tmp_path_factory: pytest.TempPathFactory) -> Batches:
    return batches(tmp_path_factory.mktemp("o"), "courier_orders", DemoOptions(until=UNTIL))


def test_a_batch_of_each_a_day_with_about_10000_messages(
    messages: Batches, orders: Batches
) -> None:
    assert len(messages) == len(orders) == 14
    assert sum(map(len, messages)) == pytest.approx(10_000, rel=0.1)
    assert sum(map(len, orders)) == pytest.approx(2_740, rel=0.02)


def test_some_chats_go_on_in_the_next_batch_and_some_messages_come_again(
    messages: Batches,
) -> None:
    batches_of = Counter(order for batch in messages for order in {m["orderId"] for m in batch})
    assert sum(count > 1 for count in batches_of.values()) > 50
    copies = Counter(json.dumps(message) for batch in messages for message in batch)
    again = sum(count > 1 for count in copies.values()) / len(copies)
    assert again == pytest.approx(0.01, abs=0.004)


def test_orders_come_late_or_never_or_without_a_word(messages: Batches, orders: Batches) -> None:
    first_said, ordered = (
        {
            record["orderId"]: day
            for day, batch in reversed([*enumerate(source)])
            for record in batch
        }
        for source in (messages, orders)
    )
    assert sum(ordered.get(order, 0) > day for order, day in first_said.items()) > 100
    assert 20 < len(first_said.keys() - ordered.keys()) < 400
    assert len(ordered.keys() - first_said.keys()) > 300


def test_some_messages_share_a_second_and_some_chats_have_no_answer(messages: Batches) -> None:
    times = Counter((m["orderId"], m["messageSentTime"]) for batch in messages for m in batch)
    assert sum(count > 1 for count in times.values()) > 100
    sides: dict[int, set[str]] = {}
    for message in (m for batch in messages for m in batch):
        sides.setdefault(message["orderId"], set()).add(message["senderAppType"].split()[0])
    unanswered = sum(len(theirs) == 1 for theirs in sides.values()) / len(sides)
    assert 0.2 < unanswered < 0.5


def test_dirty_records_have_every_promised_fault(tmp_path: Path) -> None:
    options = DemoOptions(scale=0.5, days=1, dirty=0.5, until=UNTIL)
    text = "".join(
        generate(tmp_path, [source], options)[0].path.read_text()
        for source in ("courier_messages", "courier_orders")
    )
    for fault in (
        '"orderId": null', '"orderId": "unknown"', '"Robot"', '"2016-13-45T', '"1970-01-01T',
        '"2999-12-31T', '"cityCode": ""', '"cityCode": {',
    ):  # fmt: skip
        assert fault in text
