"""`make warehouse` once everything is installed: demo data, load, build with tests, release."""

import json
import sys
from pathlib import Path
from typing import Any

from benchmarks.measure import Bench, Finished, Sample, Samples, tell
from benchmarks.report import Limit, Row, Section

MOST_SECONDS = 30
SLOWEST = 10

INTRODUCTION = """\
What `make warehouse` does when the environment is installed, in a fresh home: `boathouse
generate` (all sources, 14 days) and `boathouse run`, each a process of its own, so the start of
Python and of dbt counts. Then `boathouse run` again, with nothing new."""


def warm_up(bench: Bench) -> None:
    """Let Python compile everything once, as any machine has after its first day."""
    tell("warming up")
    with bench.folder("home") as folder:
        _boathouse(bench, folder, "generate", "--scale", "0.01")
        _boathouse(bench, folder, "run")
        bench.process([sys.executable, "-c", "import pandas, pyarrow.parquet"], folder)


def run(bench: Bench) -> Section:
    """Measure a first and a second run."""
    scale = "0.1" if bench.quick else "1"
    first, again, generated = Samples(), Samples(), Samples()
    repetitions = bench.size(3, 1)
    for number in range(repetitions):
        with bench.folder("home") as folder:
            home = folder / "data"
            made = _boathouse(bench, folder, "generate", "--scale", scale)
            generated.each.append(Sample({"seconds": made.seconds}, made.peak_mib))
            first.each.append(_sample(_boathouse(bench, folder, "run", "--json"), home))
            again.each.append(_sample(_boathouse(bench, folder, "run", "--json"), home))
        tell(f"  {number + 1}/{repetitions}: {first.each[-1].seconds:.1f} s")
    size = f"scale {scale}, 14 days"
    whole = [g + f for g, f in zip(generated.values(), first.values(), strict=True)]
    limit = Limit.at_most(sorted(whole)[len(whole) // 2], MOST_SECONDS, " s")
    peak = max(first.peak_mib, generated.peak_mib)
    rows = [
        Row("all of it", size, whole, limit=limit, peak_mib=peak),
        Row.of("of it `boathouse generate`", size, generated),
        Row.of("of it `boathouse run`", size, first),
    ]
    rows += [Row(f"in the run: {step}", size, first.values(step)) for step in _STEPS]
    rows.append(Row.of("a second run, with nothing new", size, again))
    return Section(INTRODUCTION, rows, _notes(first))


_STEPS = ("load", "dbt's start", "nodes", "dbt's end", "release", "compaction", "Python's start")


def _boathouse(bench: Bench, folder: Path, *arguments: str) -> Finished:
    command = [sys.executable, "-m", "boathouse", *arguments]
    return bench.process(command, folder, BOATHOUSE_HOME=str(folder / "data"))


def _sample(done: Finished, home: Path) -> Sample:
    """Return the steps of a run, as it has reported them itself."""
    report: dict[str, Any] = json.loads(done.output)
    seconds = report["seconds"]
    build = report["build"] or {"start_seconds": 0.0, "node_seconds": 0.0, "results": []}
    steps = {
        "load": seconds["load"],
        "dbt's start": build["start_seconds"],
        "nodes": build["node_seconds"],
        "release": seconds["release"],
    }
    known = seconds["load"] + seconds.get("build", 0.0) + seconds["release"]
    steps["dbt's end"] = seconds.get("build", 0.0) - steps["dbt's start"] - steps["nodes"]
    steps["compaction"] = seconds["all"] - known
    steps["Python's start"] = done.seconds - seconds["all"]
    results = [[each["name"], each["kind"], each["seconds"]] for each in build["results"]]
    facts = {
        "seconds": done.seconds,
        **steps,
        "results": results,
        "release_steps": report["release"]["seconds"] if report["release"] else {},
        "home_mib": sum(path.stat().st_size for path in home.rglob("*") if path.is_file()) / 2**20,
    }
    return Sample(facts, done.peak_mib)


def _notes(first: Samples) -> list[str]:
    last = first.each[-1].facts
    slowest = sorted(last["results"], key=lambda result: -result[2])[:SLOWEST]
    told = ", ".join(f"`{name}` ({kind}) {seconds:.2f}" for name, kind, seconds in slowest)
    steps = ", ".join(f"{step} {seconds:.2f}" for step, seconds in last["release_steps"].items())
    nodes = len(last["results"])
    mean = sum(result[2] for result in last["results"]) / max(nodes, 1)
    return [
        f"{nodes} nodes, {mean * 1000:.0f} ms each on average. The {SLOWEST} slowest of the last "
        f"run, in seconds: {told}.",
        f"The release by step, in seconds: {steps}.",
        f"The home then holds {last['home_mib']:.0f} MiB.",
    ]
