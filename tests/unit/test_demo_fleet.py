"""The demo fleet's parameters come, go and change their type as they promise."""

import gzip
import json
from collections import defaultdict
from datetime import date
from itertools import chain
from pathlib import Path
from typing import Any

import pytest

from boathouse.demo import DemoOptions, GeneratedFile, generate

UNTIL = date(2024, 3, 10)


def read(path: Path) -> list[dict[str, Any]]:
    content = path.read_bytes()
    text = gzip.decompress(content) if path.suffix == ".gz" else content
    return [json.loads(line) for line in text.decode().splitlines()]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[GeneratedFile]:
    options = DemoOptions(days=28, until=UNTIL)
    return generate(tmp_path_factory.mktemp("landing"), ["fleet_readings"], options)


@pytest.fixture(scope="module")
def days(files: list[GeneratedFile]) -> list[list[dict[str, Any]]]:
    return [read(file.path) for file in files]


def test_one_file_per_day_one_in_seven_of_them_gz(files: list[GeneratedFile]) -> None:
    assert sorted(file.path.suffix for file in files) == 4 * [".gz"] + 24 * [".jsonl"]
    assert sum(file.rows for file in files) == pytest.approx(4_000, rel=0.01)


def test_parameters_appear_and_disappear(days: list[list[dict[str, Any]]]) -> None:
    names = [{name for record in records for name in record} for records in days]
    assert names[0] - names[-1]
    assert names[-1] - names[0]
    assert all(f"sensor_{number:02}" in day for number in range(1, 11) for day in names)


def test_known_parameters_come_as_another_type(days: list[list[dict[str, Any]]]) -> None:
    types = defaultdict(set)
    for record in chain.from_iterable(days):
        for name, value in record.items():
            types[name].add(type(value))
    assert types["sensor_01"] == {float}
    assert types["sensor_03"] == types["sensor_07"] == {float, str}
    assert types["sensor_09"] == {float, dict}
    assert {bool} in types.values()


def test_some_records_of_a_truck_and_time_come_twice(days: list[list[dict[str, Any]]]) -> None:
    records = list(chain.from_iterable(days))
    keys = {(record["truck_id"], record["recorded_at"]) for record in records}
    assert 0.003 < 1 - len(keys) / len(records) < 0.1


def test_dirty_records_have_every_promised_fault(tmp_path: Path) -> None:
    options = DemoOptions(scale=0.5, days=2, dirty=0.5, until=UNTIL)
    text = generate(tmp_path, ["fleet_readings"], options)[0].path.read_text()
    for fault in ('\n{"recorded_at"', '"truck_id":{', "2016-13-45T", '"recorded_at":"1970'):
        assert fault in text, fault
    lines = text.splitlines()
    assert [line for line in lines if not line.endswith("}")]
    assert [line for line in lines if "recorded_at" not in line]
