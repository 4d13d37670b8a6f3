"""Courier: chats that come in parts, twice, within a second; orders that come late or never."""

import json
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta
from statistics import median, quantiles
from typing import NamedTuple

from hypothesis import strategies as st

from support.order import Build, DomainCase, File, Rows, Run, SourceCase


class Message(NamedTuple):
    app: str
    from_id: int
    order_id: int | None
    stage: str | None
    sent_at: datetime
    starts_chat: bool | None

    @property
    def is_good(self) -> bool:
        """Return whether the contract lets it in: an order and a known kind of app."""
        return self.order_id is not None and self.app != "Robot"

    @property
    def side(self) -> str:
        return self.app.split()[0].lower()


class Order(NamedTuple):
    order_id: int
    city: str | None


class Conversation(NamedTuple):
    order_id: int
    city_code: str | None
    first_courier_message: datetime | None
    first_customer_message: datetime | None
    num_messages_courier: int
    num_messages_customer: int
    first_message_by: str
    conversation_started_at: datetime
    first_responsetime_delay_seconds: int | None
    last_message_time: datetime
    last_message_order_stage: str | None


class City(NamedTuple):
    city_code: str | None
    conversations: int
    answered: int
    median_response_seconds: float | None
    p90_response_seconds: float | None
    started_by_courier: int


_START = datetime(2020, 11, 30, 23, 59, 59)
TIMES = [_START + timedelta(seconds=seconds) for seconds in (0, 1, 2, 2_000_000)]

_messages = st.builds(
    Message,
    app=st.sampled_from(
        ("Courier App", "courier ios", "Customer iOS", "Customer Android", "Robot")
    ),
    from_id=st.sampled_from((5, 9)),
    order_id=st.sampled_from((1, 2, 3, 1, 2, None)),
    stage=st.sampled_from(("PICKING_UP", "DELIVERED", None)),
    sent_at=st.sampled_from(TIMES),
    starts_chat=st.sampled_from((True, False, None)),
)
_orders = st.builds(
    Order, order_id=st.integers(1, 4), city=st.sampled_from(("BCN", "MAD", "BCN", "MAD", None))
)


def write_messages(messages: Sequence[Message]) -> bytes:
    """Return the file's text: an array, pretty-printed when its length is odd."""
    records = [
        {
            "senderAppType": message.app,
            "customerId": 5,
            "fromId": message.from_id,
            "toId": 14 - message.from_id,
            "chatStartedByMessage": message.starts_chat,
            "orderId": message.order_id,
            "orderStage": message.stage,
            "courierId": 9,
            "messageSentTime": f"{message.sent_at.isoformat()}Z",
        }
        for message in messages
    ]
    return json.dumps(records, indent=2 if len(records) % 2 else None).encode()


def write_orders(orders: Sequence[Order]) -> bytes:
    """Return the file's text, an array in one line."""
    return json.dumps(
        [{"orderId": order.order_id, "cityCode": order.city} for order in orders]
    ).encode()


def reference(files: Sequence[File]) -> dict[str, Rows]:
    """Return all marts as they must be for these files."""
    cities: dict[int, str] = {}
    chats: dict[int, list[Message]] = defaultdict(list)
    placed = []
    for file in files:
        for row, record in enumerate(file.records):
            if isinstance(record, Order):
                if record.city is not None:
                    cities[record.order_id] = max(record.city, cities.get(record.order_id, ""))
            elif record.is_good:
                placed.append(
                    (record.sent_at, record.starts_chat is not True, file.name, row, record)
                )
    seen = set()
    for *_, message in sorted(placed, key=lambda entry: entry[:4]):
        identity = (message.order_id, message.side, message.from_id, message.sent_at, message.stage)
        if identity not in seen:
            seen.add(identity)
            chats[message.order_id].append(message)
    conversations = [
        _conversation(order_id, cities.get(order_id), chat) for order_id, chat in chats.items()
    ]
    return {
        "fct_customer_courier_conversations": conversations,
        "rpt_courier_response_by_city": _by_city(conversations),
    }


def _conversation(order_id: int, city: str | None, chat: list[Message]) -> Conversation:
    """The conversation of these messages, which are in their order."""
    first, last = chat[0], chat[-1]
    by_courier = [message for message in chat if message.side == "courier"]
    by_customer = [message for message in chat if message.side == "customer"]
    answers = by_customer if first.side == "courier" else by_courier
    return Conversation(
        order_id,
        city,
        by_courier[0].sent_at if by_courier else None,
        by_customer[0].sent_at if by_customer else None,
        len(by_courier),
        len(by_customer),
        first.side,
        first.sent_at,
        (answers[0].sent_at - first.sent_at) // timedelta(seconds=1) if answers else None,
        last.sent_at,
        last.stage,
    )


def _by_city(conversations: list[Conversation]) -> list[City]:
    groups: dict[str | None, list[Conversation]] = defaultdict(list)
    for conversation in conversations:
        groups[conversation.city_code].append(conversation)
    return [
        City(
            city,
            len(theirs),
            len(delays),
            float(median(delays)) if delays else None,
            _p90(delays),
            sum(c.first_message_by == "courier" for c in theirs),
        )
        for city, theirs in groups.items()
        for delays in [
            [
                c.first_responsetime_delay_seconds
                for c in theirs
                if c.first_responsetime_delay_seconds is not None
            ]
        ]
    ]


def _p90(delays: list[int]) -> float | None:
    if len(delays) < 2:
        return float(delays[0]) if delays else None
    return float(quantiles(delays, n=10, method="inclusive")[8])


def _chat_file(letter: str, *messages: Message) -> File:
    return File("courier_messages", f"customer_courier_chat_messages_{letter}.json", messages)


def _order_file(letter: str, *orders: Order) -> File:
    return File("courier_orders", f"orders_{letter}.json", orders)


_ASKED = Message("Customer iOS", 5, 1, "PICKING_UP", TIMES[0], True)
_ANSWERED = Message("Courier App", 9, 1, "DELIVERED", TIMES[3], False)
_ALONE = Message("Courier App", 9, 2, "DELIVERED", TIMES[1], True)

EXAMPLES = (
    # An order that comes after its messages, changes its city, and is taken back.
    (
        Run((_chat_file("a", _ASKED, _ALONE),)),
        Run((_order_file("a", Order(1, "BCN")),)),
        Run((_chat_file("b", _ANSWERED, _ASKED),), Build.NOTHING),
        Run((_order_file("a", Order(1, "MAD"), Order(3, "MAD")),), compacts=True),
        Run((_order_file("a", Order(2, "MAD")),)),
    ),
    # A conversation of which nothing is left, and one whose first message goes.
    (
        Run((_chat_file("a", _ASKED, _ALONE), _chat_file("b", _ANSWERED))),
        Run((_chat_file("a"),)),
    ),
)

CASE = DomainCase(
    domain="courier",
    sources={
        "courier_messages": SourceCase(
            names=[f"customer_courier_chat_messages_{letter}.json" for letter in "abcd"],
            records=st.lists(_messages, min_size=1, max_size=8),
            write=write_messages,
        ),
        "courier_orders": SourceCase(
            names=[f"orders_{letter}.json" for letter in "ab"],
            records=st.lists(_orders, min_size=1, max_size=4),
            write=write_orders,
        ),
    },
    marts={
        "fct_customer_courier_conversations": Conversation._fields,
        "rpt_courier_response_by_city": City._fields,
    },
    reference=reference,
    examples=EXAMPLES,
)
