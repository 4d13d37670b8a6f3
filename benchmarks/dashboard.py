"""How fast the dashboard is with ten million sessions behind it, for one person and for twenty."""

import os
import socket
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from benchmarks import homes
from benchmarks.measure import REPOSITORY, Bench, BenchmarkError, Facts
from benchmarks.report import Limit, Row, Section

SCALE = 200  # of the demo data: 100,000 session events each, about half as many sessions
PEOPLE = 20
CHANGES = 5
THINKING_SECONDS = 1.0
FIRST_PAGE_SECONDS = 2.0
CHANGE_SECONDS = 0.5
COUNTRIES = ("US", "IN", "BR", "DE", "MX", "GB", "ID", "JP", "FR", "RU", "PK", "EG", "AR", "CZ")

INTRODUCTION = f"""\
The dashboard as `make dashboard` serves it, with sessions alone in the warehouse. People are
sessions of Streamlit's own protocol over its WebSocket: seconds go from asking for a page to the
message that its run is finished, everything it draws included; the browser's drawing is not.
**One person**: opens pages in a server that has just started, so that nothing is cached, then
chooses countries that nobody chose before. **{PEOPLE} people** at once: each opens Overview and
Sessions and changes the filter {CHANGES} times, {THINKING_SECONDS:g} s apart. An error of any of
them would end the benchmark."""


def run(bench: Bench) -> Section:
    """Measure one person, then twenty."""
    bench.need_disk(30e9 if not bench.quick else 1e9)
    with bench.folder("dashboard") as folder:
        made = bench.call(make_home, folder=folder, scale=bench.size(SCALE, 1)).facts
        people = bench.size(PEOPLE, 3)
        sample = bench.call(visit, folder=folder, people=people)
    size = f"{made['sessions']:,} sessions"
    section = Section(INTRODUCTION)
    for what, fact, most in (
        ("one person: first page, Overview", "overview", FIRST_PAGE_SECONDS),
        ("one person: Sessions", "sessions", FIRST_PAGE_SECONDS),
        ("one person: another country", "change", CHANGE_SECONDS),
        (f"{people} people: first page", "crowd first", None),
        (f"{people} people: another country", "crowd change", None),
    ):
        seconds = sample.facts[fact]
        limit = Limit.at_most(statistics.median(seconds), most, " s") if most else None
        section.rows.append(Row(what, size, seconds, limit=limit))
    section.notes.append(
        f"{people} people asked {sample.facts['runs']:,} times, without an error; the 95th "
        f"percentile of a change was {_p95(sample.facts['crowd change']):.2f} s."
    )
    return section


def _p95(values: list[float]) -> float:
    return sorted(values)[int(0.95 * (len(values) - 1))]


def make_home(folder: str, scale: int) -> Facts:
    """Load, build and release the sessions."""
    import duckdb

    from boathouse import demo, pipeline

    started = time.perf_counter()
    settings = homes.settings_in(folder)
    options = demo.DemoOptions(scale=scale, days=14, until=homes.LAST_DAY)
    demo.generate(settings.landing, ["session_events"], options)
    pipeline.run(settings)
    with duckdb.connect(str(settings.warehouse), read_only=True) as con:
        ((sessions,),) = con.execute("select count(*) from marts.fct_sessions").fetchall()
    return {"seconds": time.perf_counter() - started, "sessions": sessions}


def visit(folder: str, people: int) -> Facts:
    """Visit the dashboard, alone and then with others."""
    from benchmarks.streamlit_client import Person

    with _served(folder) as port, Person(port) as person:
        overview = [person.see("overview")]
        sessions = [person.see("sessions")]
        change = [person.choose("Country", country) for country in COUNTRIES[:10]]
    with _served(folder) as port, ThreadPoolExecutor(people) as crowd:
        visits = list(crowd.map(_visit_as_one_of_many, [port] * people, range(people)))
    return {
        "seconds": sum(overview),
        "overview": overview,
        "sessions": sessions,
        "change": change,
        "crowd first": [seconds[0] for seconds in visits],
        "crowd change": [second for seconds in visits for second in seconds[2:]],
        "runs": sum(len(seconds) for seconds in visits),
    }


def _visit_as_one_of_many(port: int, number: int) -> list[float]:
    from benchmarks.streamlit_client import Person

    with Person(port) as person:
        seconds = [person.see("overview"), person.see("sessions")]
        for change in range(CHANGES):
            time.sleep(THINKING_SECONDS)
            first = COUNTRIES[(number + change) % len(COUNTRIES)]
            second = COUNTRIES[(number * 3 + change + 1) % len(COUNTRIES)]
            chosen = (first,) if first == second else (first, second)
            seconds.append(person.choose("Country", *chosen))
        return seconds


@contextmanager
def _served(folder: str) -> Iterator[int]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    settings = homes.settings_in(folder)
    process = subprocess.Popen(
        [sys.executable, "-m", "dashboards", "--port", str(port)],
        cwd=REPOSITORY,
        env={**os.environ, "BOATHOUSE_HOME": str(settings.home_folder)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait(port, process)
        yield port
    finally:
        process.terminate()
        process.wait()


def _wait(port: int, process: "subprocess.Popen[bytes]") -> None:
    """Return when the server answers."""
    for _ in range(600):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/_stcore/health", timeout=5):
                return
        except OSError:
            if process.poll() is not None:
                raise BenchmarkError("The dashboard ended before it answered.") from None
            time.sleep(0.1)
    raise BenchmarkError("The dashboard does not answer.")
