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
LOG = "watch.log"
BOATHOUSE = [sys.executable, "-m", "boathouse"]

Readings = list[dict[str, float]]  # of a process, one for each delivery: its MiB and CPU seconds

# Dagster's processes, by a word of their command lines.
DAGSTER = {
    "Dagster's daemon": "dagster._daemon",
    "Dagster's web server": "dagster_webserver",
    "Dagster's code server": "code-server",
    "Dagster's code": "grpc",
    "Dagster's fork server": "multiprocessing.forkserver",
}

INTRODUCTION = f"""\
`boathouse watch`, the API and the dashboard work on one home for an hour, each a process of its
own, while files of a hundred events arrive, one after the other: the next one comes when the last
one is released, the API has answered from the new release, and a person has opened the dashboard's
first page. Then Dagster does the same work for an hour, in another home. **Memory** is what a
process holds then, the one that reads files for it included; what it holds more at the end than
after {SETTLED} deliveries counts as growth. **CPU seconds** are those of a process for one
delivery, with those that it has started and waited for: in Dagster the fork server's are the
runs."""


def run(bench: Bench) -> Section:
    """Deliver for an hour, and for another to Dagster."""
    section = Section(INTRODUCTION)
    for deliver in (soak, soak_dagster):
        with bench.folder(deliver.__name__) as folder:
            seconds = bench.size(3600, 600)
            facts = bench.call(deliver, folder=folder, seconds=seconds).facts
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


def growth(readings: Readings, settled: int = SETTLED) -> float:
    """Return by how many MiB a process has grown since it had `settled`.

    Both ends are the least of a few deliveries: what is freed now and then does not count.
    """
    if len(readings) <= 2 * settled:
        raise BenchmarkError(f"{len(readings)} deliveries are too few; give it more time.")
    last = min(each["mib"] for each in readings[-settled // 2 :])
    return last - min(each["mib"] for each in readings[settled // 2 : settled])


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


def soak_dagster(folder: str, seconds: float) -> Facts:
    """Deliver to Dagster, whose sensor takes what lands, for so long."""
    started = time.monotonic()
    home = _begin(folder)
    with served("orchestration", folder, "/server_info", BOATHOUSE_SETTLE_SECONDS="0") as server:
        shown = (home / "warehouse.duckdb").readlink()
        _deliver(home, -1)
        _wait_for_other(home, shown, {"Dagster": psutil.Process(server.pid)})
        readings = readings_of(
            folder,
            _parts_of_dagster(server.pid),  # all of them are there after the first run
            lambda _: time.monotonic() - started < seconds,
            families=False,
        )
    return {"seconds": time.monotonic() - started, "readings": readings}


def _parts_of_dagster(pid: int) -> dict[str, int]:
    lines = {
        child.pid: " ".join(child.cmdline())
        for child in psutil.Process(pid).children(recursive=True)
    }
    return {
        name: next(each for each, line in lines.items() if word in line.partition("{")[0])
        for name, word in DAGSTER.items()
    }


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
    home = _begin(folder, **environment)
    with (home / LOG).open("w") as log:
        child = subprocess.Popen(
            [*BOATHOUSE, "watch"], env=_environment(home, environment), stdout=log, stderr=log
        )
        try:
            yield psutil.Process(child.pid)
        finally:
            child.terminate()
            child.wait()


def _begin(folder: str, **environment: str) -> Path:
    """Make the home in a folder, with its first release, and return it."""
    home = homes.settings_in(folder).home_folder
    _deliver(home, 0)
    where = _environment(home, environment)
    subprocess.run([*BOATHOUSE, "run"], env=where, check=True, stdout=subprocess.DEVNULL)
    return home


def _environment(home: Path, more: Mapping[str, str]) -> dict[str, str]:
    ours = {"BOATHOUSE_HOME": str(home), "BOATHOUSE_SETTLE_SECONDS": "0"}
    return {**os.environ, **more, **ours}


def readings_of(
    folder: str,
    processes: Mapping[str, int],
    goes_on: Callable[[int], bool],
    use: Callable[[str], object] = lambda _: None,
    *,
    families: bool = True,
) -> dict[str, Readings]:
    """Deliver one after the other while `goes_on`, and return what each process took for it.

    `use` is called with each new release before what it took is read. What a process holds is
    with all that it has started, if they are `families`.
    """
    home = homes.settings_in(folder).home_folder
    seen = {name: psutil.Process(pid) for name, pid in processes.items()}
    found: dict[str, Readings] = {name: [] for name in seen}
    number = 0
    while goes_on(number):
        number += 1
        before = {name: _cpu(process, families) for name, process in seen.items()}
        shown = (home / "warehouse.duckdb").readlink()
        _deliver(home, number)
        release = _wait_for_other(home, shown, seen)
        use(release)
        for name, process in seen.items():
            cpu = _cpu(process, families) - before[name]
            found[name].append({"mib": _mib(process, families), "cpu": cpu})
        told = ", ".join(
            f"{name} {each[-1]['mib']:.0f} MiB, {each[-1]['cpu']:.2f} s"
            for name, each in found.items()
        )
        tell(f"    {number}: {told}")
    return found


def _deliver(home: Path, number: int) -> None:
    from boathouse.demo import DemoOptions, generate

    day = FIRST_DAY + timedelta(days=number)
    generate(home / "landing", [SOURCE], DemoOptions(SCALE, days=1, seed=number + 1, until=day))


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
    log = home / LOG
    said = f" The watch said:\n{log.read_text()[-2000:]}" if log.exists() else ""
    raise BenchmarkError(f"No release came in {PATIENCE_SECONDS:.0f} s.{said}")


def _lives(process: psutil.Process) -> bool:
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE


def _family(process: psutil.Process, families: bool) -> list[psutil.Process]:
    return [process, *(process.children(recursive=True) if families else ())]


def _mib(process: psutil.Process, families: bool) -> float:
    return sum(each.memory_info().rss for each in _family(process, families)) / 2**20


def _cpu(process: psutil.Process, families: bool) -> float:
    """Return the CPU seconds of a process, and of those that it has started and waited for."""
    return sum(sum(each.cpu_times()[:4]) for each in _family(process, families))
