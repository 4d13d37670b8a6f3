"""Demo data of the domain `fleet`: trucks whose sensors come, go and change without notice.

Each truck reports some of the sensors it has. Every few days an update of the trucks' software
brings parameters with new names, takes old ones away, or sends a known one as another type. What
a parameter is called and which days it lives depends on the seed alone, so that a day's file
depends on nothing but the seed, the day and the records per day.
"""

import json
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from boathouse.demo.common import (
    DemoOptions,
    Document,
    GeneratedFile,
    choose_faults,
    random_for,
    write_faulty_files,
    write_file,
)

SOURCE = "fleet_readings"

RECORDS = 4_000  # over all days, at scale 1
TRUCKS = 40
KNOWN_PARAMETERS = 10  # sensor_01 … sensor_10, always there
PRESENT = 0.8  # of a record's parameters
REPEATED = 0.005  # sent again, with some values corrected
RECORDED_SECONDS = 300  # sensors are read every five minutes

# Parameters of software updates: which ones are there changes every three days, and they come
# back after ten updates.
UPDATE_DAYS = 3
UPDATES = 10
NEW_PARAMETERS = 4  # in each update
LIFE_UPDATES = 3  # until it disappears
KINDS = ("number", "text", "switch", "position")
WORDS = ("oilTemp", "Brake Wear", "fuelRate", "tyre-pressure", "DPF_load", "cargoDoor")

# From this update on (of ten), these known parameters come as something else.
DRIFTS = {"sensor_03": (4, "text"), "sensor_07": (6, "quoted"), "sensor_09": (8, "position")}

FAULTS = (
    "truck_missing",
    "truck_nested",
    "recorded_at_missing",
    "recorded_at_impossible",
    "recorded_at_1970",
    "line_cut",
)


def write_fleet_readings(folder: Path, options: DemoOptions) -> Iterator[GeneratedFile]:
    """Write `fleet_readings_YYYY-MM-DD.jsonl` for each day and yield the files.

    One day in seven comes as `.jsonl.gz`. With `dirty`, faulty files come beside the last day's.
    """
    for day in options.day_range():
        records = _records(day, options)
        rng = random_for(options, SOURCE, "faults", day)
        faults = choose_faults(rng, len(records), options.dirty, FAULTS)
        lines = [_line(record, fault) for record, fault in zip(records, faults, strict=True)]
        document = Document(pl.Series(lines, dtype=pl.String))
        name = f"fleet_readings_{day}.jsonl{'.gz' if day.toordinal() % 7 == 3 else ''}"
        file = GeneratedFile(SOURCE, write_file(folder, name, document.encode()), len(lines))
        yield file
        if options.dirty and day == options.last_day:
            yield from _faulty_files(file, document.head())


def _records(day: date, options: DemoOptions) -> list[dict[str, Any]]:
    """The day's records in the order of their times; some come a second time."""
    rng = random_for(options, SOURCE, day)
    count = max(1, round(RECORDS * options.scale / options.days))
    seconds = np.sort(rng.integers(24 * 3600 // RECORDED_SECONDS, size=count)) * RECORDED_SECONDS
    kinds = _parameters(day)
    records: list[dict[str, Any]] = []
    for second in seconds.tolist():
        if records and rng.random() < REPEATED:
            records.append({**records[-1], "sensor_01": round(rng.normal(60, 15), 2)})
            continue
        at = datetime.combine(day, time()) + timedelta(seconds=second)
        record: dict[str, Any] = {
            "truck_id": f"truck-{rng.integers(1, TRUCKS + 1):03}",
            "recorded_at": at.isoformat(),
        }
        is_present = rng.random(len(kinds)) < PRESENT
        for (name, kind), present in zip(kinds.items(), is_present.tolist(), strict=True):
            if present:
                record[name] = _value(kind, rng)
        records.append(record)
    return records


def _parameters(day: date) -> dict[str, str]:
    """The parameters that trucks have on a day, and of which kind their values are."""
    update = day.toordinal() // UPDATE_DAYS
    kinds = {f"sensor_{number:02}": "number" for number in range(1, KNOWN_PARAMETERS + 1)}
    for name, (since, kind) in DRIFTS.items():
        if update % UPDATES >= since:
            kinds[name] = kind
    for number in range(update - LIFE_UPDATES + 1, update + 1):
        for place in range(NEW_PARAMETERS):
            at = (number % UPDATES) * NEW_PARAMETERS + place
            kinds[f"{WORDS[at % len(WORDS)]}{at}"] = KINDS[at % len(KINDS)]
    return kinds


def _value(kind: str, rng: np.random.Generator) -> Any:
    number = round(float(rng.normal(60, 15)), 2)
    match kind:
        case "number":
            return number
        case "quoted":
            return str(number)
        case "switch":
            return bool(number > 60)
        case "position":
            return {"lat": round(48 + number / 100, 5), "lon": round(9 + number / 50, 5)}
    return ("ok", "n/a", "worn", "überhitzt")[int(rng.integers(4))]


def _line(record: dict[str, Any], fault: str | None) -> str:
    """A record as a line of JSON, faulty if a fault is named."""
    changes: dict[str, dict[str, Any]] = {
        "truck_nested": {"truck_id": {"id": record["truck_id"]}},
        "recorded_at_impossible": {"recorded_at": "2016-13-45T25:61:00"},
        "recorded_at_1970": {"recorded_at": "1970-01-01T00:00:00"},
    }
    missing = (fault or "").removesuffix("_missing").replace("truck", "truck_id")
    changed = record | changes.get(fault or "", {})
    kept = {name: value for name, value in changed.items() if name != missing}
    line = json.dumps(kept, ensure_ascii=False, separators=(",", ":"))
    return line[: len(line) // 2] if fault == "line_cut" else line


def _faulty_files(file: GeneratedFile, good: Document) -> Iterator[GeneratedFile]:
    accented = good.records.str.replace('"truck-', '"Léon-', literal=True)
    renamed = good.records.str.replace('"truck_id":', '"truck":', literal=True)
    yield from write_faulty_files(
        file, good=good, latin1=Document(accented), wrong_columns=Document(renamed)
    )
