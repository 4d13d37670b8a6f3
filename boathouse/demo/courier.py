"""Demo data of the domain `courier`: chats about orders, in daily batches of JSON arrays.

A day's batch of messages takes them from the orders of that day and the days before, since a chat
may go on for days and a message may be late or come again; its batch of orders has those of the
day and late ones of the day before. Both depend on nothing but the seed, the day and the orders
per day (scale / days).
"""

import json
from collections import deque
from collections.abc import Iterator, Sequence
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from boathouse.demo.common import (
    DemoOptions,
    GeneratedFile,
    JsonArray,
    choose,
    choose_faults,
    random_for,
    write_faulty_files,
    write_file,
)

MESSAGES = "courier_messages"
ORDERS = "courier_orders"

ORDERS_IN_ALL = 2_800  # over all days, at scale 1; about five messages each
FEWEST_ORDERS_A_DAY = 3
WITHOUT_MESSAGES = 0.18
NEVER_DELIVERED = 0.02  # orders of which only messages come
LATE = 0.1  # orders that come a day after
REPEATED = 0.01
SAME_SECOND = 0.03
CONTINUED = 0.02  # of the messages, those that come a day after the one before
MOST_MESSAGES = 12
# A chat goes on for two days at most, and what is repeated comes a day later.
LONGEST_DELAY_DAYS = 3

APPS = {"Customer iOS": 55, "Customer Android": 45}
CITIES = {"MAD": 30, "BCN": 28, "VLC": 14, "SVQ": 9, "ZAZ": 7, "PMI": 5, "BIO": 4, "LPA": 3}
STAGES = ("PICKING_UP", "DELIVERING", "DELIVERED")

MESSAGE_FAULTS = ("order_missing", "app_unknown", "time_impossible", "time_1970", "time_future")
ORDER_FAULTS = ("order_missing", "order_text", "city_missing", "city_nested")

Record = dict[str, Any]
Delivered = tuple[int, Record]  # days from the order to the batch it comes in, and the record


def write_courier_messages(folder: Path, options: DemoOptions) -> Iterator[GeneratedFile]:
    """Write `customer_courier_chat_messages_YYYY-MM-DD.json` for each day and yield the files.

    With `dirty`, faulty files come beside the last one.
    """
    yield from _write(folder, options, MESSAGES)


def write_courier_orders(folder: Path, options: DemoOptions) -> Iterator[GeneratedFile]:
    """Write `orders_YYYY-MM-DD.json` for each day and yield the files.

    With `dirty`, faulty files come beside the last one.
    """
    yield from _write(folder, options, ORDERS)


def _write(folder: Path, options: DemoOptions, source: str) -> Iterator[GeneratedFile]:
    stem, faults = {
        MESSAGES: ("customer_courier_chat_messages", MESSAGE_FAULTS),
        ORDERS: ("orders", ORDER_FAULTS),
    }[source]
    recent: deque[list[Delivered]] = deque(maxlen=LONGEST_DELAY_DAYS + 1)
    for number, day in enumerate(options.day_range(days_before=LONGEST_DELAY_DAYS)):
        recent.appendleft(_of_orders_placed_on(day, options, source))
        if number < LONGEST_DELAY_DAYS:
            continue
        records = [
            record for age, known in enumerate(recent) for delay, record in known if delay == age
        ]
        rng = random_for(options, source, "faults", day)
        chosen = choose_faults(rng, len(records), options.dirty, faults)
        document = JsonArray(_lines(map(_with_fault, records, chosen)))
        path = write_file(folder, f"{stem}_{day}.json", document.encode())
        file = GeneratedFile(source, path, len(records))
        yield file
        if options.dirty and day == options.last_day:
            yield from _faulty_files(file, JsonArray(document.head().records))


def _of_orders_placed_on(day: date, options: DemoOptions, source: str) -> list[Delivered]:
    """The messages about the day's orders, or the orders themselves."""
    per_day = max(FEWEST_ORDERS_A_DAY, round(ORDERS_IN_ALL * options.scale / options.days))
    first_id = day.toordinal() * 1_000_000
    rng = random_for(options, source, day)
    if source == ORDERS:
        cities, fates = choose(rng, per_day, CITIES), rng.random(per_day)
        return [
            (
                1 if fates[number] > 1 - LATE else 0,
                {"orderId": first_id + number, "cityCode": str(cities[number])},
            )
            for number in range(per_day)
            if fates[number] >= NEVER_DELIVERED
        ]
    messages: list[Delivered] = []
    for number in np.flatnonzero(rng.random(per_day) >= WITHOUT_MESSAGES):
        placed_at = datetime.combine(day, time()) + timedelta(seconds=int(rng.integers(86_400)))
        messages += _chat(rng, first_id + int(number), placed_at)
    return messages


def _chat(rng: np.random.Generator, order_id: int, placed_at: datetime) -> Iterator[Delivered]:
    """The messages about an order; most chats go back and forth, some stay without an answer."""
    customer, courier = (int(rng.integers(10_000_000, 99_999_999)) for _ in range(2))
    app = str(choose(rng, 1, APPS)[0])
    count = 1 + min(int(rng.geometric(0.22)) - 1, MOST_MESSAGES - 1)
    is_courier = bool(rng.random() < 0.5)
    sent_at, stage = placed_at, 0
    for number in range(count):
        if number:
            is_courier ^= bool(rng.random() < 0.7)
            sent_at += _gap(rng)
            stage = min(stage + int(rng.random() < 0.3), len(STAGES) - 1)
        delay = (sent_at.date() - placed_at.date()).days
        if delay >= LONGEST_DELAY_DAYS:
            return
        record = {
            "senderAppType": "Courier App" if is_courier else app,
            "customerId": customer,
            "fromId": courier if is_courier else customer,
            "toId": customer if is_courier else courier,
            "chatStartedByMessage": number == 0,
            "orderId": order_id,
            "orderStage": STAGES[stage],
            "courierId": courier,
            "messageSentTime": f"{sent_at.isoformat()}Z",
        }
        yield delay, record
        if rng.random() < REPEATED:
            yield delay + 1, record


def _gap(rng: np.random.Generator) -> timedelta:
    kind = rng.random()
    if kind < SAME_SECOND:
        return timedelta()
    days = 1 if kind > 1 - CONTINUED else 0
    return timedelta(days=days, seconds=1 + int(rng.exponential(240)))


def _with_fault(record: Record, fault: str | None) -> Record:
    wrong: dict[str | None, Record] = {
        "app_unknown": {"senderAppType": "Robot"},
        "time_impossible": {"messageSentTime": "2016-13-45T25:61:00Z"},
        "time_1970": {"messageSentTime": "1970-01-01T00:00:00Z"},
        "time_future": {"messageSentTime": "2999-12-31T23:59:59Z"},
        "order_missing": {"orderId": None},
        "order_text": {"orderId": "unknown"},
        "city_missing": {"cityCode": ""},
        "city_nested": {"cityCode": {"code": record.get("cityCode")}},
    }
    return record | wrong.get(fault, {})


def _lines(records: Iterator[Record] | Sequence[Record]) -> pl.Series:
    return pl.Series([json.dumps(record) for record in records], dtype=pl.String)


def _faulty_files(file: GeneratedFile, good: JsonArray) -> Iterator[GeneratedFile]:
    accented = good.records.str.replace("{", '{"note": "José", ', literal=True)
    renamed = good.records.str.replace('"orderId":', '"order":', literal=True)
    yield from write_faulty_files(
        file, good=good, latin1=JsonArray(accented), wrong_columns=JsonArray(renamed)
    )
