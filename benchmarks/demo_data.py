"""How long the demo data of a million session events takes to make."""

import time
from pathlib import Path

from benchmarks import homes
from benchmarks.measure import Bench, Facts, Task
from benchmarks.report import Row, Section

INTRODUCTION = """\
`boathouse.demo.generate` for `session_events`: 14 days, one of them compressed, written into
landing. The other sources come on top of that in `boathouse generate`; see `main_job`."""


def run(bench: Bench) -> Section:
    """Measure it."""
    scale = bench.size(10, 1)
    task = Task(generate, arguments={"scale": scale})
    samples = bench.compare({"demo": task}, repetitions=bench.size(3, 1))["demo"]
    events = samples.each[0].facts["events"]
    return Section(INTRODUCTION, [Row.of("generate", f"{events:,} events", samples)])


def generate(folder: str, scale: int) -> Facts:
    """Write the events of 14 days."""
    from boathouse import demo

    options = demo.DemoOptions(scale=scale, until=homes.LAST_DAY)
    started = time.perf_counter()
    files = demo.generate(Path(folder), ["session_events"], options)
    return {"seconds": time.perf_counter() - started, "events": sum(file.rows for file in files)}
