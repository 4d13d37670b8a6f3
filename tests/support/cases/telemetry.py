"""Telemetry: events sent again, received in any order, by clocks that may be wrong."""

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

from hypothesis import strategies as st

from support.order import Build, DomainCase, File, Rows, Run, SourceCase


class Event(NamedTuple):
    event_id: str
    player_id: str
    session_id: str | None
    event_name: str
    level: int | None
    item_id: str | None
    amount: Decimal | None
    currency: str | None
    platform: str | None
    app_version: str | None
    occurred_at: datetime
    received_at: datetime

    @property
    def is_good(self) -> bool:
        """Return whether the contract lets it in."""
        if self.event_name == "purchase" and (self.amount is None or self.currency is None):
            return False
        if self.event_name.startswith("level_") and self.level is None:
            return False
        year_before = self.received_at.replace(year=self.received_at.year - 1)
        return year_before <= self.occurred_at <= self.received_at


class EventRow(NamedTuple):
    event_id: str
    player_id: str
    session_id: str | None
    event_name: str
    level: int | None
    item_id: str | None
    amount: Decimal | None
    currency: str | None
    platform: str | None
    app_version: str | None
    occurred_at: datetime
    received_at: datetime
    event_date: date


class EngagementRow(NamedTuple):
    event_date: date
    daily_active_players: int
    new_players: int
    events: int
    day_1_retention: float | None
    day_7_retention: float | None


class FunnelRow(NamedTuple):
    level: int
    players_started: int
    players_completed: int
    attempts: int
    completions: int
    failures: int
    completion_rate: float | None


class RevenueRow(NamedTuple):
    event_date: date
    currency: str
    purchases: int
    revenue: Decimal
    paying_players: int
    revenue_per_active_player: float


# Days 0, 1, 7 and 8, on both sides of midnight; all received after the last but for what a wrong
# clock says, and exactly a year after the earliest that is let in.
_DAY = datetime(2024, 3, 1)
_RECEIVED = _DAY + timedelta(days=9)
TIMES = [
    _DAY,
    _DAY + timedelta(days=1, microseconds=-1),
    _DAY + timedelta(days=1),
    _DAY + timedelta(days=7),
    _DAY + timedelta(days=8),
]
_WRONG_TIMES = [
    _RECEIVED + timedelta(microseconds=1),
    datetime(2023, 3, 10),
    datetime(2023, 3, 9, 23, 59, 59, 999_999),
]
_PRICES = ["0.10", "0.20", "1.99"]

_events = st.builds(
    Event,
    event_id=st.sampled_from([f"e{number}" for number in range(12)]),
    player_id=st.sampled_from(("p1", "p2", "p3", "p4")),
    session_id=st.sampled_from(("s1", None)),
    event_name=st.sampled_from(
        ("session_start", "level_start", "level_complete", "level_fail", "purchase", "action")
    ),
    level=st.sampled_from((1, 2, None)),
    item_id=st.sampled_from(("i1", None)),
    amount=st.sampled_from([*map(Decimal, _PRICES), None]),
    currency=st.sampled_from(("EUR", "eur", "USD", None)),
    platform=st.sampled_from(("ios", None)),
    app_version=st.just("2.4.1"),
    occurred_at=st.sampled_from([*TIMES, *TIMES, *_WRONG_TIMES]),
    received_at=st.sampled_from([_RECEIVED, _RECEIVED + timedelta(microseconds=2)]),
)


def write(events: Sequence[Event]) -> bytes:
    """Return the file's text, one object a line; what is not known is left out."""
    lines = []
    for event in events:
        known = {name: value for name, value in event._asdict().items() if value is not None}
        lines.append(json.dumps(known, default=_plain))
    return "".join(f"{line}\n" for line in lines).encode()


def _plain(value: datetime | Decimal) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


def reference(files: Sequence[File]) -> dict[str, Rows]:
    """Return all marts as they must be for these files."""
    deliveries: dict[str, list[Event]] = defaultdict(list)
    for file in files:
        for event in file.records:
            if event.is_good:
                currency = event.currency and event.currency.upper()
                deliveries[event.event_id].append(event._replace(currency=currency))
    events = [
        EventRow(*first, first.occurred_at.date())
        for first in (min(each, key=_when_received) for each in deliveries.values())
    ]
    return {
        "fct_game_events": events,
        "rpt_engagement_daily": _engagement(events),
        "rpt_level_funnel": _funnel(events),
        "rpt_revenue_daily": _revenue(events),
    }


def _when_received(event: Event) -> tuple[Any, ...]:
    """Return what the first delivery is the smallest by: its times, then its values."""
    # Missing values come last.
    values = [(value is None, 0 if value is None else value) for value in event]
    return (event.received_at, event.occurred_at, *values)


def _engagement(events: Iterable[EventRow]) -> list[EngagementRow]:
    players: dict[date, set[str]] = defaultdict(set)
    counts: dict[date, int] = defaultdict(int)
    for event in events:
        players[event.event_date].add(event.player_id)
        counts[event.event_date] += 1
    seen: set[str] = set()
    rows = []
    for day in sorted(players):
        new = players[day] - seen
        seen |= new

        def retention(days: int, day: date = day, new: set[str] = new) -> float | None:
            there = players.get(day + timedelta(days=days))
            return len(new & there) / len(new) if there and new else None

        rows.append(
            EngagementRow(day, len(players[day]), len(new), counts[day], retention(1), retention(7))
        )
    return rows


def _funnel(events: Iterable[EventRow]) -> list[FunnelRow]:
    levels: dict[int, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for event in events:
        if event.event_name.startswith("level_"):
            levels[event.level][event.event_name].append(event.player_id)
    rows = []
    for level, players in levels.items():
        started, completed, failed = (
            players[f"level_{what}"] for what in ("start", "complete", "fail")
        )
        rows.append(
            FunnelRow(
                level,
                len(set(started)),
                len(set(completed)),
                len(started),
                len(completed),
                len(failed),
                len(completed) / len(started) if started else None,
            )
        )
    return rows


def _revenue(events: Iterable[EventRow]) -> list[RevenueRow]:
    active: dict[date, set[str]] = defaultdict(set)
    bought: dict[tuple[date, str], list[EventRow]] = defaultdict(list)
    for event in events:
        active[event.event_date].add(event.player_id)
        if event.event_name == "purchase":
            bought[event.event_date, event.currency].append(event)
    rows = []
    for (day, currency), theirs in bought.items():
        revenue = sum(event.amount for event in theirs)
        buyers = len({event.player_id for event in theirs})
        share = float(revenue) / len(active[day])
        rows.append(RevenueRow(day, currency, len(theirs), revenue, buyers, share))
    return rows


def _file(letter: str, *events: Event) -> File:
    return File("game_events", f"game_events_{letter}.jsonl", events)


_BOUGHT = Event(
    *("e1", "p1", "s1", "purchase", None, "i1", Decimal("1.99"), "EUR", "ios", "2.4.1"),
    *(TIMES[0], _RECEIVED + timedelta(microseconds=1)),
)
_RECEIVED_FIRST = _BOUGHT._replace(
    amount=Decimal("0.10"), occurred_at=TIMES[2], received_at=_RECEIVED
)
_OTHERS = tuple(
    Event(
        *(f"e{number}", player, None, "level_start", 1, None, None, None, None, "2.4.1"),
        *(occurred_at, _RECEIVED),
    )
    for number, (player, occurred_at) in enumerate(
        [("p1", TIMES[2]), ("p2", TIMES[0]), ("p2", TIMES[3]), ("p3", TIMES[2])], 2
    )
)
_PLAYER_DAYS = 2  # among the incremental models, before the revenue

EXAMPLES = (
    # An event moves to another day when the delivery that was received first comes later, and
    # back when that is taken back; the days behind it are told by one model at a time.
    (
        Run((_file("a", _BOUGHT, *_OTHERS),)),
        Run((_file("b", _RECEIVED_FIRST),), Build.ONE, _PLAYER_DAYS),
        Run((_file("a", _BOUGHT, *_OTHERS),)),
        Run((_file("b", _OTHERS[1]._replace(event_id="e9")),), compacts=True),
    ),
)

CASE = DomainCase(
    domain="telemetry",
    sources={
        "game_events": SourceCase(
            names=[f"game_events_{letter}.jsonl" for letter in "abcd"],
            records=st.lists(_events, min_size=1, max_size=10),
            write=write,
        )
    },
    marts={
        "fct_game_events": EventRow._fields,
        "rpt_engagement_daily": EngagementRow._fields,
        "rpt_level_funnel": FunnelRow._fields,
        "rpt_revenue_daily": RevenueRow._fields,
    },
    reference=reference,
    examples=EXAMPLES,
)
