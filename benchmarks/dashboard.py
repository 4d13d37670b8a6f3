"""How fast the dashboard is with ten million sessions behind it, for one person and for twenty."""

import statistics
import time
from concurrent.futures import ThreadPoolExecutor

from benchmarks import homes
from benchmarks.measure import Bench, Facts
from benchmarks.report import Limit, Row, Section
from benchmarks.serving import served

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
    made = bench.once(homes.make_sessions, scale=bench.size(SCALE, 1))
    people = bench.size(PEOPLE, 3)
    sample = bench.call(visit, folder=made["folder"], people=people)
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


def visit(folder: str, people: int) -> Facts:
    """Visit the dashboard, alone and then with others."""
    from benchmarks.streamlit_client import Person

    with served("dashboards", folder, "/_stcore/health") as server, Person(server.port) as person:
        overview = [person.see("overview")]
        sessions = [person.see("sessions")]
        change = [person.choose("Country", country) for country in COUNTRIES[:10]]
    with (
        served("dashboards", folder, "/_stcore/health") as server,
        ThreadPoolExecutor(people) as crowd,
    ):
        visits = list(crowd.map(_visit_as_one_of_many, [server.port] * people, range(people)))
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
