"""A million session events to sessions and players, beside DuckDB alone doing the same."""

import bz2
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks import bare_sessions, homes
from benchmarks.measure import Bench, BenchmarkError, Facts, Samples, Task, tell
from benchmarks.report import Limit, Row, Section, spread

SOURCE = "session_events"
DAYS = 14
PLAYERS = 50_000
MODELS = ["stg_sessions__events", "fct_sessions", "dim_players"]
MEMORY_LIMIT_MIB = 4096
MOST_TIMES_BARE = 3
BARE = "bare DuckDB"
FORGETFUL = "bare DuckDB, keeping no events"

INTRODUCTION = """\
Demo events in 14 daily JSONL files (160 MB a million). **Boathouse**, in one process in which dbt
has parsed the project, as `boathouse watch` has it, and on a lake without rows: `load`, then a
build of `stg_sessions__events`, `fct_sessions` and `dim_players` without tests. Its **engine's
share** is the load and the seconds dbt reports for the three models; the rest of the build is dbt
starting, connecting, choosing and taking notes. **Bare DuckDB**: a script that loads the events
into a table by `read_json` with the columns given, and makes the same two tables of it by the same
rules, in a DuckDB file. It checks nothing and knows no file. A second one keeps no event at all,
which is less than the task. All results are compared: the same rows."""


def run(bench: Bench) -> Section:
    """Measure a million, ten million, and a bz2 file."""
    section = Section(INTRODUCTION)
    events_a_day = bench.size(1_000_000, 50_000) // DAYS
    with bench.folder("million") as data:
        events, files = _generate(bench, data, DAYS, events_a_day)
        arguments = {"files": str(files)}
        found = bench.compare(
            {
                "Boathouse": _task(bench, load_and_build, files),
                BARE: Task(bare_sessions.run, arguments={**arguments, "keep_events": True}),
                FORGETFUL: Task(bare_sessions.run, arguments=arguments),
            },
            repetitions=bench.size(5, 2),
        )
        _require_same(found)
        ours = found["Boathouse"]
        section.rows += _against_bare(found, f"{events:,} events")
        section.notes.append(_where_time_goes(ours))
        section.rows += _bz2(bench, files, events)
    bench.need_disk(12e9 if not bench.quick else 1e9)
    with bench.folder("ten-million") as data:
        many, files = _generate(bench, data, DAYS * bench.size(10, 3), events_a_day)
        tell(f"  {many:,} events")
        repetitions = bench.size(2, 1)
        samples = bench.compare({"Boathouse": _task(bench, load_and_build, files)}, repetitions)[
            "Boathouse"
        ]
        section.rows += _ten_times(samples, many, ours, events)
    return section


def _generate(bench: Bench, data: Path, days: int, events_a_day: int) -> tuple[int, Path]:
    made = bench.call(
        homes.write_session_days,
        folder=str(data),
        days=days,
        events_a_day=events_a_day,
        players=PLAYERS * events_a_day * DAYS // 1_000_000,
    )
    return int(made.facts["events"]), data / SOURCE


def _task(bench: Bench, function: Callable[..., Facts], files: Path) -> Task:
    """Return a task on the files in landing, in a home whose lake has its tables and no rows."""

    def prepare(folder: Path) -> None:
        bench.call(homes.make_lake, folder=folder)
        homes.copy_files(files, homes.landing(folder, SOURCE))

    return Task(function, prepare)


def _require_same(found: dict[str, Samples]) -> None:
    results = {str(s.facts["tables"]) for f in found.values() for s in f.each}
    if len(results) != 1:
        raise BenchmarkError(f"Boathouse and bare DuckDB made different tables: {results}")


def _against_bare(found: dict[str, Samples], size: str) -> list[Row]:
    ours = found["Boathouse"]
    rows = [
        Row.of("Boathouse, all of it", size, ours),
        Row.of("Boathouse, engine's share", size, ours, "engine_seconds"),
        *(Row.of(name, size, found[name]) for name in (BARE, FORGETFUL)),
    ]
    for what, fact in (("engine's share", "engine_seconds"), ("all of it", "seconds")):
        for name in (BARE, FORGETFUL):
            times = ours.median(fact) / found[name].median()
            limit = Limit.at_most(times, MOST_TIMES_BARE) if name == BARE else None
            rows.append(Row(f"{what} ÷ {name}", size, ratio=f"{times:.1f} ×", limit=limit))
    return rows


def _where_time_goes(ours: Samples) -> str:
    parts = ["load", *MODELS, "dbt's overhead"]
    told = ", ".join(f"{part} {spread(ours.values(part))} s" for part in parts)
    parse = spread(ours.values("parse_seconds"))
    return f"Of Boathouse's seconds: {told}. Importing and parsing before: {parse} s."


def _ten_times(samples: Samples, many: int, ours: Samples, events: int) -> list[Row]:
    size = f"{many:,} events"
    growth = (samples.median() / many) / (ours.median() / events)
    memory = Limit.at_most(samples.peak_mib, MEMORY_LIMIT_MIB, " MiB")
    return [
        Row.of("Boathouse, all of it", size, samples),
        Row.of("Boathouse, engine's share", size, samples, "engine_seconds"),
        Row(f"seconds per event ÷ those of {events:,}", size, ratio=f"{growth:.2f} ×"),
        Row("peak memory", size, limit=memory, peak_mib=samples.peak_mib),
    ]


def _bz2(bench: Bench, files: Path, events: int) -> list[Row]:
    """Return what one compressed file costs to load, and to decompress alone."""
    with bench.folder("bz2") as folder:
        packed = folder / "session_events_all.jsonl.bz2"
        with bz2.open(packed, "wb") as writing:
            for path in sorted(files.iterdir()):
                writing.write(path.read_bytes())
        found = bench.compare(
            {
                "Boathouse, load of one bz2 file": _task(bench, load_only, folder),
                "Python's bz2 alone, same file": Task(decompress, arguments={"file": str(packed)}),
            },
            repetitions=bench.size(3, 1),
        )
    rows = [Row.of(name, f"{events:,} events", samples) for name, samples in found.items()]
    load, alone = (samples.median() for samples in found.values())
    share = f"{alone / load:.0%} of the load"
    return [*rows, Row("decompression's share", f"{events:,} events", ratio=share)]


def load_and_build(folder: str) -> Facts:
    """Load all that waits and build the session marts, in a warm process."""
    return homes.load_and_build(folder, MODELS, bare_sessions.COMPARED)


def load_only(folder: str) -> Facts:
    """Load all that waits."""
    from boathouse.contracts import load_contracts
    from boathouse.ingest.loader import load

    settings = homes.settings_in(folder)
    return {"seconds": load(settings, load_contracts(settings.project)).seconds}


def decompress(folder: str, file: str) -> Facts:
    """Decompress a file and throw the bytes away; `folder` stays empty."""
    del folder
    started = time.perf_counter()
    with bz2.open(file, "rb") as reading:
        while reading.read(1 << 20):
            pass
    return {"seconds": time.perf_counter() - started}
