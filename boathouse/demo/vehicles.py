"""Demo data of the domain `vehicles`: what a fleet of cars reports, in many small files.

A file is a JSON array of what the fleet said at one moment: events, or statuses. Real cars send
twice a second; the demo takes some moments of each day, evenly spread, and `simulate` writes such
files now, at any rate. What is in a file depends on the seed and its moment, and on the moment
before, a few of whose records come again.
"""

import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
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

MOMENTS = 112  # over all days, at scale 1; each is a file of events and one of statuses
VEHICLES = 150
INTERVAL = timedelta(seconds=0.5)  # what is sent at a moment has happened since the one before
REPEATED = 0.02  # share of a moment's records that the next one brings again
EXTRA_MISSING = 0.4
EXTRA_AS_TEXT = 0.3

EVENT_TYPES = {
    "position": 40, "speed": 25, "fuel_level": 10, "door": 8, "ignition": 6, "tyre_pressure": 5,
    "lights": 4, "engine_warning": 2,
}  # fmt: skip
EVENT_SOURCES = {"telematics_unit": 70, "body_controller": 20, "driver_app": 10}
STATUSES = {"available": 45, "in_use": 30, "charging": 12, "reserved": 8, "maintenance": 5}
STATUS_SOURCES = {"telematics_unit": 60, "operator": 25, "driver_app": 15}
NOTES = {"": 80, "routine": 10, "low battery": 6, "weak signal": 4}
EMERGENCY_CALLS = 0.01

FAULTS = ("vehicle_missing", "vehicle_nested", "time_impossible", "time_1970", "time_future")
_WRONG_TIMES = {
    "time_impossible": "2016-13-45T25:61:00",
    "time_1970": "1970-01-01T00:00:00",
    "time_future": "2999-12-31T23:59:59",
}

Record = dict[str, Any]


@dataclass(frozen=True)
class _Feed:
    """One of the two kinds of files that the fleet sends."""

    source: str
    stem: str
    time_column: str
    records_per_file: int
    said: Callable[[np.random.Generator, int], Iterator[Record]]


def write_vehicle_events(folder: Path, options: DemoOptions) -> Iterator[GeneratedFile]:
    """Write `vehicles_events_<moment>.json` for some moments of each day and yield the files.

    The extra data of an event is an object, text that holds one, or missing. With `dirty`, faulty
    files come beside the last one.
    """
    yield from _write(folder, options, _EVENTS)


def write_vehicle_statuses(folder: Path, options: DemoOptions) -> Iterator[GeneratedFile]:
    """Write `vehicles_status_<moment>.json` for some moments of each day and yield the files.

    With `dirty`, faulty files come beside the last one.
    """
    yield from _write(folder, options, _STATUSES)


def simulate(
    landing: Path,
    *,
    rate: float,
    stop: threading.Event,
    seconds: float | None = None,
    seed: int = 42,
) -> Iterator[GeneratedFile]:
    """Write files into landing now, as the fleet does, events and statuses in turn.

    Each file appears whole at once, under a name of its own, and is yielded then. Files that are
    due late, because the machine was busy, follow without a pause.

    Args:
        landing: The landing folder; it and the sources' folders are made when missing.
        rate: Files per second.
        stop: Ends it when set.
        seconds: Ends it after this time; without, only `stop` does.
        seed: What the records are made from, together with the moment.
    """
    options = DemoOptions(seed=seed)
    start = time.monotonic()
    number = 0
    while seconds is None or number < rate * seconds:
        if stop.wait(max(0.0, start + number / rate - time.monotonic())):
            return
        feed = (_EVENTS, _STATUSES)[number % 2]
        folder = landing / feed.source
        folder.mkdir(parents=True, exist_ok=True)
        moment = datetime.now(UTC).replace(tzinfo=None)
        yield _write_moment(folder, feed, moment, _records(options, feed, moment))
        number += 1


def _write(folder: Path, options: DemoOptions, feed: _Feed) -> Iterator[GeneratedFile]:
    per_day = max(1, round(MOMENTS * options.scale / options.days))
    before: list[Record] = []
    for day in options.day_range():
        midnight = datetime.combine(day, datetime.min.time())
        for number in range(per_day):
            moment = midnight + timedelta(days=1) * (number + 0.5) / per_day
            records = _records(options, feed, moment)
            again = before[: round(REPEATED * len(before))]
            rng = random_for(options, feed.source, "faults", moment.isoformat())
            faults = choose_faults(rng, len(records) + len(again), options.dirty, FAULTS)
            delivered = [
                _with_fault(record, fault, feed)
                for record, fault in zip(records + again, faults, strict=True)
            ]
            file = _write_moment(folder, feed, moment, delivered)
            yield file
            before = records
    if options.dirty:
        yield from _faulty_files(file, before)


def _write_moment(
    folder: Path, feed: _Feed, moment: datetime, records: list[Record]
) -> GeneratedFile:
    name = f"{feed.stem}_{moment:%Y%m%dT%H%M%S%f}.json"
    path = write_file(folder, name, JsonArray(_lines(records)).encode())
    return GeneratedFile(feed.source, path, len(records))


def _lines(records: list[Record]) -> pl.Series:
    return pl.Series([json.dumps(record) for record in records], dtype=pl.String)


def _records(options: DemoOptions, feed: _Feed, moment: datetime) -> list[Record]:
    """What the fleet says at a moment: some of the cars, each about the time just before."""
    rng = random_for(options, feed.source, moment.isoformat())
    count = feed.records_per_file
    cars = rng.integers(VEHICLES, size=count)
    ages = np.sort(rng.random(count))[::-1]
    return [
        {
            "vehicle_id": f"car-{car:04}",
            feed.time_column: (moment - INTERVAL * age).isoformat(timespec="microseconds"),
            **said,
        }
        for car, age, said in zip(cars, ages, feed.said(rng, count), strict=True)
    ]


def _events(rng: np.random.Generator, count: int) -> Iterator[Record]:
    sources, kinds = choose(rng, count, EVENT_SOURCES), choose(rng, count, EVENT_TYPES)
    values, notes = rng.integers(200, size=count), choose(rng, count, NOTES)
    boot_times, forms = rng.gamma(4.0, 2.0, count), rng.random(count)
    emergencies = rng.random(count) < EMERGENCY_CALLS
    for number in range(count):
        record = {
            "event_source": str(sources[number]),
            "event_type": str(kinds[number]),
            "event_value": str(values[number]),
        }
        extra = {
            "note": str(notes[number]),
            "boot_time": round(float(boot_times[number]), 3),
            "emergency_call": bool(emergencies[number]),
        }
        if forms[number] < EXTRA_MISSING:
            yield record
        elif forms[number] < EXTRA_MISSING + EXTRA_AS_TEXT:
            yield record | {"event_extra_data": json.dumps(extra)}
        else:
            yield record | {"event_extra_data": extra}


def _statuses(rng: np.random.Generator, count: int) -> Iterator[Record]:
    sources, statuses = choose(rng, count, STATUS_SOURCES), choose(rng, count, STATUSES)
    for source, status in zip(sources, statuses, strict=True):
        yield {"status_source": str(source), "status": str(status)}


_EVENTS = _Feed("vehicle_events", "vehicles_events", "event_time", 100, _events)
_STATUSES = _Feed("vehicle_statuses", "vehicles_status", "report_time", 40, _statuses)


def _with_fault(record: Record, fault: str | None, feed: _Feed) -> Record:
    match fault:
        case None:
            return record
        case "vehicle_missing":
            return {key: value for key, value in record.items() if key != "vehicle_id"}
        case "vehicle_nested":
            return record | {"vehicle_id": {"id": record["vehicle_id"]}}
    return record | {feed.time_column: _WRONG_TIMES[fault]}


def _faulty_files(file: GeneratedFile, records: list[Record]) -> Iterator[GeneratedFile]:
    good = _lines(records).head(20)
    yield from write_faulty_files(
        file,
        good=JsonArray(good),
        latin1=JsonArray(good.str.replace('"car-', '"Citroën-', literal=True)),
        wrong_columns=JsonArray(good.str.replace('"vehicle_id":', '"car":', literal=True)),
    )
