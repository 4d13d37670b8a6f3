"""The demo data of vehicles holds the oddities it promises; simulated files come at their rate."""

import json
import re
import threading
import time
from datetime import date
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from boathouse.demo import DemoOptions, GeneratedFile, generate
from boathouse.demo.vehicles import simulate

UNTIL = date(2024, 3, 10)
Records = list[dict[str, Any]]


def read(files: list[GeneratedFile], source: str) -> list[Records]:
    return [json.loads(file.path.read_bytes()) for file in files if file.source == source]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[GeneratedFile]:
    landing = tmp_path_factory.mktemp("landing")
    return generate(landing, ["vehicle_events", "vehicle_statuses"], DemoOptions(until=UNTIL))


def test_scale_one_is_112_moments_of_about_100_events_and_40_statuses(
    files: list[GeneratedFile],
) -> None:
    assert len(files) == 2 * 112
    names = {re.sub(r"\d{8}T\d{12}", "<moment>", file.path.name) for file in files}
    assert names == {"vehicles_events_<moment>.json", "vehicles_status_<moment>.json"}
    assert sum(file.rows for file in files) == pytest.approx(112 * 140, rel=0.03)


def test_extra_data_is_an_object_or_text_that_holds_one_or_missing(
    files: list[GeneratedFile],
) -> None:
    events = [event for records in read(files, "vehicle_events") for event in records]
    extras = [event.get("event_extra_data") for event in events]
    shares = {
        kind: sum(type(each) is kind for each in extras) / len(extras) for kind in (str, dict)
    }
    assert shares == {str: pytest.approx(0.3, abs=0.02), dict: pytest.approx(0.3, abs=0.02)}
    said = [json.loads(each) if isinstance(each, str) else each for each in extras if each]
    assert all(each.keys() == {"note", "boot_time", "emergency_call"} for each in said)
    assert 0 < sum(each["emergency_call"] for each in said) < 0.05 * len(said)


def test_a_few_records_come_again_in_the_next_file(files: list[GeneratedFile]) -> None:
    for source, repeated in (("vehicle_events", 2), ("vehicle_statuses", 1)):
        delivered = read(files, source)
        for before, records in pairwise(delivered):
            assert records[-repeated:] == before[:repeated]


def test_dirty_records_have_every_promised_fault(tmp_path: Path) -> None:
    options = DemoOptions(days=1, dirty=0.5, scale=0.05, until=UNTIL)
    for source, time_column in (("vehicle_events", "event"), ("vehicle_statuses", "report")):
        records = read(generate(tmp_path, [source], options)[:6], source)[1]
        assert any("vehicle_id" not in record for record in records)
        assert any(isinstance(record.get("vehicle_id"), dict) for record in records)
        years = {record[f"{time_column}_time"][:7] for record in records}
        assert years == {"2024-03", "2016-13", "1970-01", "2999-12"}


def test_simulated_files_come_in_turn_each_under_its_own_name(tmp_path: Path) -> None:
    start = time.monotonic()
    files = list(simulate(tmp_path, rate=100, seconds=0.1, stop=threading.Event()))
    assert time.monotonic() - start >= 0.09
    assert [file.source for file in files] == 5 * ["vehicle_events", "vehicle_statuses"]
    assert sorted(file.path for file in files) == sorted(tmp_path.glob("*/*"))
    assert all(len(json.loads(file.path.read_bytes())) == file.rows for file in files)


def test_simulation_ends_when_it_is_told_to(tmp_path: Path) -> None:
    stop = threading.Event()
    drive = simulate(tmp_path, rate=1000, stop=stop)
    next(drive)
    stop.set()
    assert list(drive) == []
