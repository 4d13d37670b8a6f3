"""The demo actions hold the oddities they promise, in about the promised shares."""

import json
import re
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from boathouse.demo import DemoOptions, GeneratedFile, generate

UNTIL = date(2024, 3, 10)
EPOCH = re.compile(r"\d{10}(\.\d{1,3})?")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[GeneratedFile]:
    return generate(tmp_path_factory.mktemp("landing"), ["actions"], DemoOptions(until=UNTIL))


@pytest.fixture(scope="module")
def actions(files: list[GeneratedFile]) -> list[tuple[str, str]]:
    found = []
    for file in files:
        lines = file.path.read_text().splitlines()
        if file.path.suffix == ".csv":
            assert lines.pop(0) == "time,action"
            found += [(line.split(",")[0], line.split(",")[1]) for line in lines]
        else:
            records = [json.loads(line) for line in lines]
            found += [(str(record["time"]), record["action"]) for record in records]
    return found


def instant(text: str) -> datetime:
    if EPOCH.fullmatch(text):
        return datetime.fromtimestamp(float(text), UTC)
    time = datetime.fromisoformat(text)
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def test_csv_and_json_lines_take_turns(files: list[GeneratedFile]) -> None:
    assert sorted(file.path.suffix for file in files) == 7 * [".csv"] + 7 * [".jsonl"]


def test_scale_one_is_about_15000_actions_in_the_days_of_their_files(
    files: list[GeneratedFile], actions: list[tuple[str, str]]
) -> None:
    assert len(actions) == sum(file.rows for file in files) == pytest.approx(15_000, rel=0.01)
    days = {instant(time).date() for time, _ in actions}
    assert days == {UNTIL - timedelta(days=back) for back in range(15)}  # some are a day late


def test_times_come_in_every_form(actions: list[tuple[str, str]]) -> None:
    shapes = {re.sub(r"\d+", "0", time) for time, _ in actions}
    assert shapes == {"0", "0.0", "0-0-0 0:0:0", "0-0-0T0:0:0Z", "0-0-0T0:0:0+0:0"}


def test_some_actions_are_on_an_edge_some_of_other_kinds_and_some_repeated(
    actions: list[tuple[str, str]],
) -> None:
    on_edge = sum(instant(time).timestamp() % 600 == 0 for time, _ in actions)
    assert on_edge / len(actions) == pytest.approx(0.02, abs=0.007)
    others = sum(action not in ("Open", "Close") for _, action in actions)
    assert others / len(actions) == pytest.approx(0.01, abs=0.004)
    repeated = len(actions) - len(set(actions))
    assert 0.005 < repeated / len(actions) < 0.05


def test_dirty_actions_have_every_promised_fault(tmp_path: Path) -> None:
    options = DemoOptions(scale=0.1, days=2, dirty=0.5, until=UNTIL)
    days = [f for f in generate(tmp_path, ["actions"], options) if "_" not in f.path.stem[8:]]
    text = "".join(file.path.read_text() for file in days)
    for fault in ("\n,Open", '"time":null', "2016-02-30T", "\n0,", "32503680000", ',"action":null'):
        assert fault in text, fault
