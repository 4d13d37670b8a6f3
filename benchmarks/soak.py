"""What processes that live long take of memory and of work, delivery after delivery."""

import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import psutil

from benchmarks import homes
from benchmarks.measure import Bench, BenchmarkError, Facts, tell
from benchmarks.report import Limit, Row, Section
from benchmarks.serving import served

SOURCE = "vehicle_events"
SCALE = 0.002  # of the demo data: a hundred events
FIRST_DAY = date(2025, 1, 1)
SETTLED = 10  # deliveries after which a process has all that it is going to keep
MOST_GROWTH_MIB = 60.0
PATIENCE_SECONDS = 300.0
LOOK_SECONDS = 0.05
PAGE = "overview"

Readings = list[dict[str, float]]  # of a process, one for each delivery: its MiB and CPU seconds

INTRODUCTION = f"""\
`boathouse watch`, the API and the dashboard work on one home for an hour, each a process of its
own, while files of a hundred events arrive, one after the other: the next one comes when the last
one is released, the API has answered from the new release, and a person has opened the dashboard's
first page. **Memory** is what a process holds then, the one that reads files for it included; what
it holds more at the end than after {SETTLED} deliveries counts as growth. **CPU seconds** are those
of a process for one delivery, its readers' included."""


def run(bench: Bench) -> Section:
    """Deliver for an hour."""
    with bench.folder("home") as folder:
        seconds = bench.size(3600, 300)
        facts = bench.call(soak, folder=folder, seconds=seconds).facts
    section = Section(INTRODUCTION)
    for name, readings in facts["readings"].items():
        section.rows += rows(name, readings)
        section.notes.append(curve(name, readings))
    return section


def rows(name: str, readings: Readings) -> list[Row]:
    """Return what a process took: its growth against the limit, and its work early and late."""
    tenth = max(len(readings) // 10, 1)
    early = [each["cpu"] for each in readings[SETTLED : SETTLED + tenth]]
    late = [each["cpu"] for each in readings[-tenth:]]
    grown = growth(readings)
    size = f"{len(readings)} deliveries"
    limit = Limit.at_most(grown, MOST_GROWTH_MIB, " MiB")
    peak = max(each["mib"] for each in readings)
    return [
        Row(f"{name}: growth", size, ratio=f"{grown:+.0f} MiB", limit=limit, peak_mib=peak),
        Row(f"{name}: CPU seconds of a delivery, early", f"{len(early)} deliveries", early),
        Row(f"{name}: CPU seconds of a delivery, at the end", f"{len(late)} deliveries", late),
    ]


def growth(readings: Readings) -> float:
    """Return by how many MiB a process has grown since it had settled.

    Both ends are the least of a few deliveries: what is freed now and then does not count.
    """
    if len(readings) <= 2 * SETTLED:
        raise BenchmarkError(f"{len(readings)} deliveries are too few; give it more time.")
    last = min(each["mib"] for each in readings[-SETTLED // 2 :])
    return last - min(each["mib"] for each in readings[SETTLED // 2 : SETTLED])


def curve(name: str, readings: Readings) -> str:
    """Return a dozen points of the way: delivery, MiB and CPU seconds."""
    step = max(len(readings) // 12, 1)
    points = [
        f"{number + 1}: {each['mib']:.0f} MiB, {each['cpu']:.2f} s"
        for number, each in enumerate(readings)
        if number % step == 0 or number == len(readings) - 1
    ]
    return f"{name}, by delivery: {'; '.join(points)}."


def soak(folder: str, seconds: float) -> Facts:
    """Deliver to a watch, an API and a dashboard for so long."""
    from benchmarks.streamlit_client import Person

    started = time.monotonic()
    with ExitStack() as stack:
        process = stack.enter_context(watched(folder))
        api = stack.enter_context(served("api", folder, "/health"))
        dashboard = stack.enter_context(served("dashboards", folder, "/_stcore/health"))
        readings = readings_of(
            folder,
            {"watch": process.pid, "API": api.pid, "dashboard": dashboard.pid},
            lambda _: time.monotonic() - started < seconds,
            lambda release: (_ask(api.port, release), _look_at(Person, dashboard.port)),
        )
    return {"seconds": time.monotonic() - started, "readings": readings}


def _ask(port: int, release: str) -> None:
    """Ask the API until it answers from a release."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    address = f"http://127.0.0.1:{port}/marts/fct_vehicle_events?limit=100"
    while time.monotonic() < deadline:
        with urllib.request.urlopen(address, timeout=PATIENCE_SECONDS) as answer:
            answer.read()
            if answer.headers["Boathouse-Release"] == release:
                return
        time.sleep(LOOK_SECONDS)
    raise BenchmarkError(f"The API does not serve release {release}.")


def _look_at(person: Callable[[int], Any], port: int) -> None:
    with person(port) as somebody:
        somebody.see(PAGE)


@contextmanager
def watched(folder: str, **environment: str) -> Iterator[psutil.Process]:
    """Run `boathouse watch` on a home that has had its first delivery, for a `with` block."""
    home = homes.settings_in(folder).home_folder
    where = {**os.environ, **environment, "BOATHOUSE_HOME": str(home)}
    where["BOATHOUSE_SETTLE_SECONDS"] = "0"
    command = [sys.executable, "-m", "boathouse"]
    _deliver(home, 0)
    subprocess.run([*command, "run"], env=where, check=True, stdout=subprocess.DEVNULL)
    with (home / "watch.log").open("w") as log:
        child = subprocess.Popen([*command, "watch"], env=where, stdout=log, stderr=log)
        try:
            yield psutil.Process(child.pid)
        finally:
            child.terminate()
            child.wait()


def readings_of(
    folder: str,
    processes: Mapping[str, int],
    goes_on: Callable[[int], bool],
    use: Callable[[str], object] = lambda _: None,
) -> dict[str, Readings]:
    """Deliver one after the other while `goes_on`, and return what each process took for it.

    `use` is called with each new release before what it took is read.
    """
    home = homes.settings_in(folder).home_folder
    seen = {name: psutil.Process(pid) for name, pid in processes.items()}
    found: dict[str, Readings] = {name: [] for name in seen}
    number = 0
    while goes_on(number):
        number += 1
        before = {name: _cpu(process) for name, process in seen.items()}
        shown = (home / "warehouse.duckdb").readlink()
        _deliver(home, number)
        release = _wait_for_other(home, shown, seen)
        use(release)
        for name, process in seen.items():
            taken = {"mib": _mib(process), "cpu": _cpu(process) - before[name]}
            found[name].append(taken)
        told = ", ".join(
            f"{name} {each[-1]['mib']:.0f} MiB, {each[-1]['cpu']:.2f} s"
            for name, each in found.items()
        )
        tell(f"    {number}: {told}")
    return found


def _deliver(home: Path, number: int) -> None:
    from boathouse.demo import DemoOptions, generate

    day = FIRST_DAY + timedelta(days=number)
    generate(home / "landing", [SOURCE], DemoOptions(SCALE, days=1, seed=number, until=day))


def _wait_for_other(home: Path, shown: Path, processes: Mapping[str, psutil.Process]) -> str:
    """Return the number of the release that readers see next."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    link = home / "warehouse.duckdb"
    while time.monotonic() < deadline:
        now = link.readlink()
        if now != shown:
            return now.name.partition("-")[0]
        if ended := [name for name, each in processes.items() if not _lives(each)]:
            raise BenchmarkError(f"It has ended: {', '.join(ended)}.")
        time.sleep(LOOK_SECONDS)
    log = (home / "watch.log").read_text()[-2000:]
    raise BenchmarkError(f"No release came in {PATIENCE_SECONDS:.0f} s. The watch said:\n{log}")


def _lives(process: psutil.Process) -> bool:
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE


def _family(process: psutil.Process) -> Iterator[psutil.Process]:
    yield process
    yield from process.children(recursive=True)


def _mib(process: psutil.Process) -> float:
    return sum(each.memory_info().rss for each in _family(process)) / 2**20


def _cpu(process: psutil.Process) -> float:
    return sum(sum(each.cpu_times()[:4]) for each in _family(process))
