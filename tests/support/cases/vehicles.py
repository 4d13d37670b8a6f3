"""Vehicles: events and statuses in small files, repeated; extra data as object, text or nothing."""

import json
from collections import defaultdict
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple

from hypothesis import strategies as st

from support.order import Build, DomainCase, File, Rows, Run, SourceCase


class Event(NamedTuple):
    vehicle_id: str
    event_time: datetime
    event_source: str | None
    event_type: str | None
    event_value: str | None
    event_extra_data: Any  # as in the file: an object, text, or anything else

    @property
    def is_good(self) -> bool:
        """Return whether the contract lets it in."""
        return self.event_type is not None


class Status(NamedTuple):
    vehicle_id: str
    report_time: datetime
    status_source: str | None
    status: str


class EventRow(NamedTuple):
    vehicle_id: str
    event_time: datetime
    event_source: str | None
    event_type: str
    event_value: str | None
    note: str | None
    boot_time: float | None
    is_emergency_call: bool | None
    event_date: date


class DayRow(NamedTuple):
    vehicle_id: str
    day: date
    last_event_time: datetime
    last_event_type: str
    events: int
    emergency_calls: int


class VehicleRow(NamedTuple):
    vehicle_id: str
    status: str | None
    status_source: str | None
    status_reported_at: datetime | None
    last_event_at: datetime | None
    last_event_type: str | None
    events: int


_MIDNIGHT = datetime(2024, 3, 10)
TIMES = [
    _MIDNIGHT + timedelta(seconds=seconds, microseconds=microseconds)
    for seconds in (-1, 0, 86399)
    for microseconds in (0, 999_999)
]
_EMERGENCY = {"note": "help", "boot_time": 1.5, "emergency_call": True}
EXTRAS = (
    None,
    _EMERGENCY,
    json.dumps(dict(reversed(_EMERGENCY.items()))),
    {"note": "", "boot_time": "2.5", "emergency_call": "false"},
    {"boot_time": "soon"},
    "no json",
    [1],
)
_VEHICLES = st.sampled_from(("v1", "v2", "v3"))

_events = st.builds(
    Event,
    vehicle_id=_VEHICLES,
    event_time=st.sampled_from(TIMES),
    event_source=st.sampled_from(("unit", None)),
    event_type=st.sampled_from(("door", "speed", "speed", None)),
    event_value=st.sampled_from(("1", None)),
    event_extra_data=st.sampled_from(EXTRAS),
)
_statuses = st.builds(
    Status,
    vehicle_id=_VEHICLES,
    report_time=st.sampled_from(TIMES),
    status_source=st.sampled_from(("app", "unit", None)),
    status=st.sampled_from(("driving", "parked")),
)


def write(records: Sequence[Event | Status]) -> bytes:
    """Return the file's text, a JSON array; what is not known is left out."""
    known = [
        {name: value for name, value in record._asdict().items() if value is not None}
        for record in records
    ]
    return json.dumps(known, default=datetime.isoformat).encode()


def reference(files: Sequence[File]) -> dict[str, Rows]:
    """Return all marts as they must be for these files."""
    delivered = {
        source: [record for file in files if file.source == source for record in file.records]
        for source in ("vehicle_events", "vehicle_statuses")
    }
    # Told apart by text, so that 1.5 and True are not the same as 1.5 and 1.
    rows = {repr(row): row for e in delivered["vehicle_events"] if e.is_good for row in [_row(e)]}
    events = list(rows.values())
    return {
        "fct_vehicle_events": events,
        "fct_vehicle_daily_summary": _days(events),
        "dim_vehicles": _vehicles(events, delivered["vehicle_statuses"]),
    }


def _row(event: Event) -> EventRow:
    extra = event.event_extra_data
    if isinstance(extra, str):
        try:
            extra = json.loads(extra)
        except ValueError:
            extra = None
    said = extra if isinstance(extra, dict) else {}
    boot_time, call = said.get("boot_time"), said.get("emergency_call")
    return EventRow(
        *event[:5],
        note=said.get("note") or None,
        boot_time={"2.5": 2.5, "soon": None}.get(boot_time, boot_time),
        is_emergency_call={"false": False}.get(call, call),
        event_date=event.event_time.date(),
    )


def _days(events: Sequence[EventRow]) -> list[DayRow]:
    groups: dict[tuple[str, date], list[EventRow]] = defaultdict(list)
    for event in events:
        groups[event.vehicle_id, event.event_date].append(event)
    rows = []
    for group, theirs in groups.items():
        last = max((event.event_time, event.event_type) for event in theirs)
        calls = sum(event.is_emergency_call is True for event in theirs)
        rows.append(DayRow(*group, *last, len(theirs), calls))
    return rows


def _vehicles(events: Sequence[EventRow], statuses: Sequence[Status]) -> list[VehicleRow]:
    rows = []
    for vehicle in {record.vehicle_id for record in (*events, *statuses)}:
        reports = [
            (each.report_time, each.status, each.status_source or "")
            for each in statuses
            if each.vehicle_id == vehicle
        ]
        reported_at, status, source = max(reports) if reports else (None, None, None)
        happened = [
            (each.event_time, each.event_type) for each in events if each.vehicle_id == vehicle
        ]
        last = max(happened) if happened else (None, None)
        rows.append(VehicleRow(vehicle, status, source or None, reported_at, *last, len(happened)))
    return rows


def _events_file(letter: str, *events: Event) -> File:
    return File("vehicle_events", f"vehicles_events_{letter}.json", events)


def _statuses_file(letter: str, *statuses: Status) -> File:
    return File("vehicle_statuses", f"vehicles_status_{letter}.json", statuses)


_EVENT = Event("v1", TIMES[0], "unit", "door", "1", _EMERGENCY)
_AS_TEXT = _EVENT._replace(event_extra_data=json.dumps(_EMERGENCY))
_STATUS = Status("v1", TIMES[0], "app", "parked")
_LATER = Status("v1", TIMES[2], "app", "driving")
_DIM_VEHICLES = 0  # among the incremental models

EXAMPLES = (
    # The same event as object and as text; then it goes, and with it the day and the car.
    (
        Run((_events_file("a", _EVENT), _events_file("b", _AS_TEXT))),
        Run((_events_file("a", _EVENT._replace(vehicle_id="v2")),), compacts=True),
        Run((_events_file("b", _EVENT._replace(event_time=TIMES[5])),)),
    ),
    # The latest status is taken back, so that an earlier one counts again.
    (
        Run((_statuses_file("a", _STATUS), _statuses_file("b", _LATER))),
        Run((_statuses_file("b", _STATUS._replace(vehicle_id="v2")),), Build.ONE, _DIM_VEHICLES),
    ),
)

CASE = DomainCase(
    domain="vehicles",
    sources={
        "vehicle_events": SourceCase(
            names=[f"vehicles_events_{letter}.json" for letter in "abc"],
            records=st.lists(_events, min_size=1, max_size=6),
            write=write,
        ),
        "vehicle_statuses": SourceCase(
            names=[f"vehicles_status_{letter}.json" for letter in "abc"],
            records=st.lists(_statuses, min_size=1, max_size=4),
            write=write,
        ),
    },
    marts={
        "fct_vehicle_events": EventRow._fields,
        "fct_vehicle_daily_summary": DayRow._fields,
        "dim_vehicles": VehicleRow._fields,
    },
    reference=reference,
    examples=EXAMPLES,
)
