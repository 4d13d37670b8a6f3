"""How fast the API answers, with a million sessions and with ten, and whether its memory grows."""

import shutil
import subprocess
import time
from datetime import datetime, timedelta
from pathlib import Path

from benchmarks import homes
from benchmarks.measure import Bench, BenchmarkError, Facts, tell
from benchmarks.report import Limit, Row, Section
from benchmarks.serving import Server, served

SCALES = {"a million": 20, "ten million": 200}  # of the demo data: 50,000 sessions each
PLAYERS = 2000
SECONDS = 15
SOAK_SECONDS = 300
CONNECTIONS = 2
P50_MILLISECONDS, P99_MILLISECONDS = 2.0, 15.0
STARTED_MILLISECONDS = 5.0
REQUESTS_A_SECOND = 1000
TEN_TIMES = 1.3
GROWTH = 1.1

INTRODUCTION = f"""\
The API as `make api` serves it, on loopback, asked by `wrk` from the same machine over
{CONNECTIONS} connections that ask again as soon as they are answered. **Completed sessions**: of
players chosen at random among {PLAYERS:,}. **Started sessions**: of a country's last hour before a
time chosen at random. Every answer must be a 200. Each for {SECONDS} s; the soak goes on for
{SOAK_SECONDS // 60} minutes; the memory after one minute is compared with that at the end."""

_DONE = """
done = function(summary, latency, requests)
  io.write(string.format("RESULT %f %f %f %d\\n", latency:percentile(50) / 1000,
    latency:percentile(99) / 1000, summary.requests / (summary.duration / 1e6),
    summary.errors.status + summary.errors.timeout + summary.errors.read + summary.errors.connect))
end
"""
_CHOOSE = """
request = function() return wrk.format("GET", paths[math.random(#paths)]) end
"""


def run(bench: Bench) -> Section:
    """Measure a home of a million sessions and one of ten."""
    if shutil.which("wrk") is None:
        raise BenchmarkError("There is no wrk; Debian's package of that name has it.")
    bench.need_disk(40e9 if not bench.quick else 2e9)
    section = Section(INTRODUCTION)
    medians: dict[str, float] = {}
    for name, scale in SCALES.items():
        made = bench.once(homes.make_sessions, scale=bench.size(scale, scale // 20))
        tell(f"  {made['sessions']:,} sessions")
        is_first = name == next(iter(SCALES))
        soak = bench.size(SOAK_SECONDS, 10) if is_first else 0
        facts = bench.call(
            ask, folder=made["folder"], seconds=bench.size(SECONDS, 2), soak=soak
        ).facts
        size = f"{made['sessions']:,} sessions"
        medians[name] = facts["completed"]["p50"]
        _tell(section, size, facts, medians, is_first)
        if is_first:
            memory = facts["memory"]
            growth = memory[1] / memory[0]
            section.rows.append(
                Row(
                    f"soak of {soak} s, {facts['soak']['rate']:,.0f} requests/s: memory",
                    f"{memory[0]:,.0f} → {memory[1]:,.0f} MiB",
                    ratio=f"{growth:.2f} ×",
                    limit=Limit.at_most(growth, GROWTH),
                    peak_mib=max(memory),
                )
            )
    return section


def _tell(
    section: Section, size: str, facts: Facts, medians: dict[str, float], is_first: bool
) -> None:
    completed, started = facts["completed"], facts["started"]
    rows = [
        *(
            Row(
                f"completed sessions of a player: {name}",
                size,
                ratio=f"{completed[name]:.2f} ms",
                limit=Limit.at_most(completed[name], most, " ms"),
            )
            for name, most in (("p50", P50_MILLISECONDS), ("p99", P99_MILLISECONDS))
        ),
        Row(
            "completed sessions of a player: requests a second",
            size,
            ratio=f"{completed['rate']:,.0f}",
            limit=Limit.at_least(completed["rate"], REQUESTS_A_SECOND, ""),
        ),
        Row(
            "started sessions of a country's last hour: p50",
            size,
            ratio=f"{started['p50']:.2f} ms",
            limit=Limit.at_most(started["p50"], STARTED_MILLISECONDS, " ms") if is_first else None,
        ),
    ]
    section.rows += rows
    if not is_first:
        first, last = medians.values()
        section.rows.append(
            Row(
                "completed sessions: p50, ten times the data",
                size,
                ratio=f"{last / first:.2f} ×",
                limit=Limit.at_most(last / first, TEN_TIMES),
            )
        )


def ask(folder: str, seconds: int, soak: int) -> Facts:
    """Ask for sessions, in two ways; then go on with the first for `soak` seconds."""
    import duckdb

    warehouse = homes.settings_in(folder).warehouse
    with duckdb.connect(str(warehouse), read_only=True) as con:
        players = con.execute(
            "select player_id from marts.fct_sessions where is_completed group by player_id "
            f"order by hash(player_id) limit {PLAYERS}"
        ).fetchall()
        countries = con.execute(
            "select country from marts.fct_sessions where country is not null group by all"
        ).fetchall()
        ((last,),) = con.execute("select max(started_at) from marts.fct_sessions").fetchall()
    completed = [f"/models/completed-sessions/{player}" for (player,) in players]
    started = [
        f"/models/started-sessions/{country}/1?as_of={_hours_before(last, hours)}"
        for (country,) in countries
        for hours in range(0, 240, 7)
    ]
    begun = time.perf_counter()
    facts: Facts = {}
    with served("api", folder, "/ready") as server:
        facts["completed"] = _wrk(folder, server, completed, seconds)
        facts["started"] = _wrk(folder, server, started, seconds)
        if soak:
            _wrk(folder, server, completed, min(60, soak))
            before = _mib(server)
            facts["soak"] = _wrk(folder, server, completed, soak)
            facts["memory"] = [before, _mib(server)]
    return {**facts, "seconds": time.perf_counter() - begun}


def _hours_before(last: datetime, hours: int) -> str:
    return f"{last - timedelta(hours=hours):%Y-%m-%dT%H:%M:%SZ}"


def _wrk(folder: str, server: Server, paths: list[str], seconds: int) -> Facts:
    """Ask for paths at random and return percentiles in milliseconds and requests a second.

    Raises:
        BenchmarkError: there was an answer that was no 200, or none.
    """
    script = Path(folder) / "wrk.lua"
    listed = ", ".join(f'"{path}"' for path in paths)
    script.write_text(f"paths = {{{listed}}}\n{_CHOOSE}{_DONE}")
    done = subprocess.run(
        [
            *("wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "-s", str(script)),
            f"http://127.0.0.1:{server.port}",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    (result,) = [line for line in done.stdout.splitlines() if line.startswith("RESULT")]
    p50, p99, rate, errors = map(float, result.split()[1:])
    if errors:
        raise BenchmarkError(f"{errors:.0f} requests were not answered as they should be.")
    return {"p50": p50, "p99": p99, "rate": rate}


def _mib(server: Server) -> float:
    import psutil

    return float(psutil.Process(server.pid).memory_info().rss) / 2**20
