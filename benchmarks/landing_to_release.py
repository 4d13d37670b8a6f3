"""How long a file takes from landing to the release that readers see, for both who watch."""

import json
import random
import signal
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

from benchmarks.homes import landing
from benchmarks.measure import Bench, BenchmarkError, process_environment, tell
from benchmarks.report import Limit, Row, Section

EVENTS = 1_000
PATIENCE_SECONDS = 180.0
LOOK_SECONDS = 0.02
MOST_PAUSE_SECONDS = 5.0
LIMITS = {"boathouse watch": 5.0, "Dagster's sensor": 15.0}

INTRODUCTION = f"""\
A file of {EVENTS:,} session events is put into landing, whole at once, in a home with two weeks of
demo data of all sources; the clock stops when `warehouse.duckdb` is another file. Between one
release and the next delivery is a pause of 0 to {MOST_PAUSE_SECONDS:g} s, so that deliveries fall
anywhere between two looks into landing. A file has to be left alone for a second before it is taken
(`BOATHOUSE_SETTLE_SECONDS`), which counts. Models, all their tests and the release are those of the
main job. **boathouse watch** is one warm process; **Dagster's sensor** is `make dagster`, where a
run is a process of its own."""


def run(bench: Bench) -> Section:
    """Measure deliveries for `boathouse watch` and for the sensor."""
    deliveries = bench.size(30, 3)
    section = Section(INTRODUCTION)
    with bench.folder("home") as template:
        scale = "0.1" if bench.quick else "1"
        environment = {"BOATHOUSE_HOME": str(template / "data")}
        for arguments in (("generate", "--scale", scale), ("run",)):
            bench.process([sys.executable, "-m", "boathouse", *arguments], template, **environment)
        for number, (name, command) in enumerate(_commands().items()):
            tell(f"  {name}")
            with _serving(bench, command, template, environment):
                seconds = _deliver(template, deliveries, first=number * 1_000_000)
            section.rows += _rows(name, seconds)
    return section


def _commands() -> dict[str, list[str]]:
    python = [sys.executable, "-m"]
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    return {
        "boathouse watch": [*python, "boathouse", "watch"],
        "Dagster's sensor": [*python, "orchestration", "--port", port],
    }


@contextmanager
def _serving(
    bench: Bench, command: Sequence[str], folder: Path, environment: dict[str, str]
) -> Iterator[None]:
    """Run a command that watches, for the length of a `with` block."""
    with (folder / "output.txt").open("w") as said:
        child = subprocess.Popen(
            command,
            cwd=folder,
            env=process_environment(bench, environment),
            stdout=said,
            stderr=said,
        )
        try:
            yield
            if child.poll() is not None:
                raise BenchmarkError(f"{' '.join(command)} ended by itself.")
        finally:
            child.send_signal(signal.SIGINT)
            try:
                child.wait(PATIENCE_SECONDS)
            finally:
                child.kill()


def _deliver(folder: Path, deliveries: int, first: int) -> list[float]:
    """Deliver files one after the other and return the seconds until each was released.

    The first one waits until the watching process is up, and does not count.
    """
    chance = random.Random(first)
    found = []
    for number in range(deliveries + 1):
        seconds = _deliver_one(folder, first + number * EVENTS)
        tell(f"    {number}/{deliveries}: {seconds:.2f} s")
        found.append(seconds)
        time.sleep(chance.uniform(0.0, MOST_PAUSE_SECONDS))
    return found[1:]


def _deliver_one(folder: Path, number: int) -> float:
    warehouse = folder / "data" / "warehouse.duckdb"
    target = landing(folder, "session_events") / f"session_events_{number}.jsonl"
    unfinished = target.with_suffix(".tmp")
    unfinished.write_text("".join(_events(number)))
    before = warehouse.stat().st_ino
    started = time.perf_counter()
    unfinished.replace(target)
    while warehouse.stat().st_ino == before:
        if time.perf_counter() - started > PATIENCE_SECONDS:
            raise BenchmarkError(f"{target.name} was not released in {PATIENCE_SECONDS:.0f} s.")
        time.sleep(LOOK_SECONDS)
    return time.perf_counter() - started


def _events(first: int) -> Iterator[str]:
    begin = datetime(2025, 7, 1) + timedelta(seconds=first)
    for number in range(EVENTS):
        session = first + number // 2
        event = {
            "event": "start" if number % 2 == 0 else "end",
            "country": "PK" if number % 2 == 0 else None,
            "player_id": f"late-{session % 100}",
            "session_id": f"late-{session}",
            "ts": f"{begin + timedelta(seconds=number):%Y-%m-%dT%H:%M:%S}",
        }
        yield json.dumps({name: value for name, value in event.items() if value}) + "\n"


def _rows(name: str, seconds: list[float]) -> list[Row]:
    """Return the median and the 95th percentile (of the sorted runs, none interpolated)."""
    ordered = sorted(seconds)
    high = ordered[max(0, -(-len(ordered) * 95 // 100) - 1)]
    size = f"{len(seconds)} deliveries"
    return [
        Row(f"{name}: p50", size, seconds, f"{statistics.median(seconds):.2f} s"),
        Row(
            f"{name}: p95",
            size,
            ratio=f"{high:.2f} s",
            limit=Limit.at_most(high, LIMITS[name], " s"),
        ),
    ]
