"""What one more day costs, depending on how many days the lake holds already."""

from benchmarks import history, homes
from benchmarks.measure import Bench, Sample, Samples, tell
from benchmarks.report import Limit, Row, Section, spread

EVENTS_A_DAY = 10_000
PLAYERS = 20_000
MOST_GROWTH = 1.5

INTRODUCTION = f"""\
Days of 10,000 session events of 20,000 players; some sessions end, and some events come, a day
late. A history is built, then one day more is loaded, built and released, in one warm process, as
`boathouse watch` does it. The measured days are the same ones for every history. The last
{history.DAYS_ONE_BY_ONE} days of a history come one by one, each with the whole main job; so that
the days before do not take hours, they come in batches of {history.BATCH_DAYS}, each one load and
one incremental build without tests, followed by the compaction that the main job does.
**Models only**: `load`, then `run_build` of what follows from the source, without tests. **Main
job**: `boathouse.pipeline.run`, that is with all tests, release and compaction. **Engine's
share**: the load and the seconds that dbt reports for the nodes; the rest of a build is dbt."""

MEASURES = (  # what, in which kind of day, which fact, whether the limit is on it
    ("models only: load", "models", "load", False),
    ("models only: SQL of the models", "models", "nodes", False),
    ("models only: dbt", "models", "dbt", False),
    ("models only: engine's share", "models", "engine", True),
    ("models only: load + build", "models", "load and build", True),
    ("main job: load", "job", "load", False),
    ("main job: models and tests", "job", "nodes", False),
    ("main job: dbt", "job", "dbt", False),
    ("main job: engine's share", "job", "engine", True),
    ("main job: load + build", "job", "load and build", True),
    ("main job: release", "job", "release", True),
    ("main job: compaction and the rest", "job", "rest", False),
    ("main job: all of it", "job", "seconds", True),
)


def run(bench: Bench) -> Section:
    """Measure one more day on every history."""
    lengths = (2, 30) if bench.quick else (10, 100, 1_000)
    bench.need_disk(20e9 if not bench.quick else 1e9)
    found: dict[int, Sample] = {}
    with bench.folder("days") as data:
        bench.call(
            homes.write_session_days,
            folder=str(data),
            days=max(lengths) + history.MEASURED_DAYS,
            events_a_day=bench.size(EVENTS_A_DAY, 1_000),
            players=bench.size(PLAYERS, 1_000),
        )
        for length in lengths:
            tell(f"  a history of {length:,} days")
            with bench.folder("home") as folder:
                found[length] = bench.call(
                    history.one_more_day,
                    folder=folder,
                    files=data / "session_events",
                    days=length,
                    one_by_one=bench.size(history.DAYS_ONE_BY_ONE, 1),
                )
            tell(f"  took {found[length].facts['seconds']:.0f} s to make")
    return _section(found)


def _section(found: dict[int, Sample]) -> Section:
    section = Section(INTRODUCTION)
    first, last = min(found), max(found)
    for what, kind, fact, is_limited in MEASURES:
        days = {length: _days(sample, kind) for length, sample in found.items()}
        for length, samples in days.items():
            section.rows.append(Row(what, f"after {length:,} days", samples.values(fact)))
        growth = days[last].median(fact) / days[first].median(fact)
        limit = Limit.at_most(growth, MOST_GROWTH) if is_limited else None
        size = f"{last:,} ÷ {first:,} days"
        section.rows.append(Row(what, size, ratio=f"{growth:.2f} ×", limit=limit))
    for length, sample in found.items():
        process = "the process that made it and measured"
        section.rows.append(Row(process, f"{length:,} days", peak_mib=sample.peak_mib))
        section.notes += _notes(length, sample)
    return section


def _days(sample: Sample, kind: str) -> Samples:
    """Return the measured days of a kind as the runs of one thing."""
    return Samples([Sample(day, sample.peak_mib) for day in sample.facts[kind]])


def _notes(length: int, sample: Sample) -> list[str]:
    job = _days(sample, "job")
    last = job.each[-1].facts
    models = ", ".join(f"`{name}` {seconds:.2f}" for name, seconds in last["models"].items())
    steps = ", ".join(f"{step} {seconds:.2f}" for step, seconds in last["release steps"].items())
    tests = last["tests"]
    slowest = ", ".join(
        f"`{each}` {tests[each]:.2f}" for each in sorted(tests, key=tests.get)[:-6:-1]
    )
    return [
        f"After {length:,} days, seconds of the last main job: models {models}; {len(tests)} "
        f"tests {sum(tests.values()):.2f}, of them {slowest}; release {steps}. The lake has "
        f"{sample.facts['lake files']:,} files; making the history took "
        f"{sample.facts['seconds']:,.0f} s. Main jobs: {spread(job.values())}."
    ]
