"""Fleet: parameters of any name and type, and the same truck, time and parameter again."""

import json
import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple

from hypothesis import strategies as st

from support.order import Build, DomainCase, File, Rows, Run, SourceCase


class Record(NamedTuple):
    truck_id: str | None
    recorded_at: datetime
    parameters: tuple[tuple[str, str], ...]  # names and JSON


class Reading(NamedTuple):
    truck_id: str
    recorded_at: datetime
    parameter: str
    value: float | None
    value_text: str
    value_type: str
    recorded_on: date
    source_file: str


class ParameterDay(NamedTuple):
    recorded_on: date
    truck_id: str
    parameter: str
    readings: int
    numeric_readings: int
    minimum: float | None
    maximum: float | None
    total: float | None
    first_seen_at: datetime
    last_seen_at: datetime
    first_file: str


class Parameter(NamedTuple):
    parameter: str
    data_type: str
    types_seen: str
    first_seen_at: datetime
    last_seen_at: datetime
    first_file: str
    readings: int
    trucks: int


class Daily(NamedTuple):
    parameter: str
    day: date
    readings: int
    minimum: float | None
    average: float | None
    maximum: float | None


# As they are delivered, and as they are called then.
NAMES = {"sensor_01": "sensor_01", "oilTemp": "oil_temp", "Brake Wear": "brake_wear"}
VALUES = ["1.5", "-2", '"7.5"', '"n/a"', '"tr\\u00fcb"', "true", '{"a":[1]}', "null"]
# Few enough that they coincide; on both sides of midnight.
_MIDNIGHT = datetime(2024, 3, 11)
TIMES = [_MIDNIGHT + timedelta(seconds=seconds) for seconds in (-86400, -1, 0, 1)]

_records = st.builds(
    Record,
    truck_id=st.sampled_from(("t1", "t1", "t2", "t3", None)),
    recorded_at=st.sampled_from(TIMES),
    parameters=st.dictionaries(
        st.sampled_from(sorted(NAMES)), st.sampled_from(VALUES), max_size=3
    ).map(lambda values: tuple(values.items())),
)


def write(records: Sequence[Record]) -> bytes:
    """Return the file's text, one object a line."""
    lines = []
    for record in records:
        known = {"truck_id": record.truck_id, "recorded_at": record.recorded_at.isoformat()}
        fields = [(name, json.dumps(value)) for name, value in known.items()]
        given = ",".join(f'"{name}":{value}' for name, value in [*fields, *record.parameters])
        lines.append(f"{{{given}}}\n")
    return "".join(lines).encode()


def reference(files: Sequence[File]) -> dict[str, Rows]:
    """Return all marts as they must be for these files."""
    latest: dict[tuple[str, datetime, str], Reading] = {}
    for file in sorted(files, key=lambda file: (file.load, file.name)):
        for record in file.records:
            if record.truck_id is None:
                continue
            for name, value in record.parameters:
                if value != "null":
                    reading = _reading(record, NAMES[name], value, file.name)
                    latest[reading[:3]] = reading
    readings = list(latest.values())
    return {
        "fct_fleet_readings": readings,
        "fct_fleet_parameter_days": [
            ParameterDay(
                *key,
                len(theirs),
                len(_numbers(theirs)),
                min(_numbers(theirs), default=None),
                max(_numbers(theirs), default=None),
                math.fsum(_numbers(theirs)) if _numbers(theirs) else None,
                *_seen(theirs),
            )
            for key, theirs in _grouped(readings, "recorded_on", "truck_id", "parameter")
        ],
        "dim_fleet_parameters": [
            _parameter(*key, theirs) for key, theirs in _grouped(readings, "parameter")
        ],
        "rpt_fleet_parameter_daily": [
            Daily(
                *key,
                len(theirs),
                min(_numbers(theirs), default=None),
                math.fsum(_numbers(theirs)) / len(_numbers(theirs)) if _numbers(theirs) else None,
                max(_numbers(theirs), default=None),
            )
            for key, theirs in _grouped(readings, "parameter", "recorded_on")
        ],
    }


def _reading(record: Record, parameter: str, document: str, file: str) -> Reading:
    value = json.loads(document)
    number: float | None
    match value:
        case bool():
            kind, text, number = "boolean", document, None
        case int() | float():
            kind, text, number = "double", document, float(value)
        case str():
            kind, text = "varchar", value
            number = float(value) if value == "7.5" else None
        case _:
            kind, text, number = "json", document, None
    at = record.recorded_at
    assert record.truck_id
    return Reading(record.truck_id, at, parameter, number, text, kind, at.date(), file)


def _grouped(
    readings: Iterable[Reading], *names: str
) -> Iterable[tuple[tuple[Any, ...], list[Reading]]]:
    groups: dict[tuple[Any, ...], list[Reading]] = defaultdict(list)
    for reading in readings:
        groups[tuple(getattr(reading, name) for name in names)].append(reading)
    return groups.items()


def _numbers(readings: Iterable[Reading]) -> list[float]:
    return [reading.value for reading in readings if reading.value is not None]


def _seen(readings: Iterable[Reading]) -> tuple[datetime, datetime, str]:
    """Return the first and the last time, and the file of the first."""
    times = sorted((reading.recorded_at, reading.source_file) for reading in readings)
    return times[0][0], times[-1][0], times[0][1]


def _parameter(name: str, readings: list[Reading]) -> Parameter:
    types = sorted({reading.value_type for reading in readings})
    return Parameter(
        name,
        types[0] if len(types) == 1 else "varchar",
        ", ".join(types),
        *_seen(readings),
        len(readings),
        len({reading.truck_id for reading in readings}),
    )


def _file(letter: str, *records: Record) -> File:
    return File("fleet_readings", f"fleet_readings_{letter}.jsonl", records)


_FIRST = Record("t1", TIMES[1], (("sensor_01", "1.5"), ("oilTemp", '"n/a"')))
_AGAIN = Record("t1", TIMES[1], (("sensor_01", "true"),))
_OTHER = Record("t2", TIMES[2], (("sensor_01", "-2"),))
_FCT_FLEET_READINGS = 2  # among the incremental models

EXAMPLES = (
    # A later load wins, in whichever file; taken back, what it had covered is there again.
    (
        Run((_file("b", _FIRST),)),
        Run((_file("a", _AGAIN),)),
        Run((_file("a", _OTHER),)),
    ),
    # A parameter of which nothing is left, taken away by a build of the readings alone.
    (
        Run((_file("a", _FIRST),)),
        Run((_file("a", _OTHER),), Build.ONE, _FCT_FLEET_READINGS),
    ),
    # The first delivery anew under its name is the later load.
    (
        Run((_file("a", _FIRST),)),
        Run((_file("b", _AGAIN),), Build.NOTHING),
        Run((_file("a", _FIRST, _OTHER),), compacts=True),
    ),
)

CASE = DomainCase(
    domain="fleet",
    sources={
        "fleet_readings": SourceCase(
            names=[f"fleet_readings_{letter}.jsonl" for letter in "abc"],
            records=st.lists(_records, min_size=1, max_size=5),
            write=write,
        )
    },
    marts={
        "fct_fleet_readings": Reading._fields,
        "fct_fleet_parameter_days": ParameterDay._fields,
        "dim_fleet_parameters": Parameter._fields,
        "rpt_fleet_parameter_daily": Daily._fields,
    },
    reference=reference,
    examples=EXAMPLES,
)
