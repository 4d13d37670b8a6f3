"""Fresh homes for the measured processes: settings, landing folders and the files in them."""

import bz2
import gzip
import os
import shutil
import time
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.measure import REPOSITORY, BenchmarkError, Facts

if TYPE_CHECKING:
    import duckdb

    from boathouse.settings import Settings

LAST_DAY = date(2025, 6, 30)  # of all generated events, so that every run has the same
MEMORY_LIMIT = "3GB"  # what boathouse.settings gives DuckDB, and so the comparisons


def settings_in(folder: str) -> "Settings":
    """Return settings for the real project and a home in `folder`; files count as settled."""
    from boathouse.settings import Settings

    home = Path(folder) / "data"
    return Settings(project=REPOSITORY, home=home, settle_seconds=0, memory_limit=MEMORY_LIMIT)


def landing(folder: Path, source: str) -> Path:
    """Return the landing folder of a source in the home that `settings_in` makes."""
    return folder / "data" / "landing" / source


def make_lake(folder: str) -> Facts:
    """Make the lake with its empty tables, which happens once in the life of a home."""
    from boathouse import catalog, lake
    from boathouse.contracts import load_contracts

    settings = settings_in(folder)
    started = time.perf_counter()
    with lake.connect(settings) as opened:
        catalog.ensure(opened, load_contracts(settings.project))
    return {"seconds": time.perf_counter() - started}


def student_file() -> Path:
    """Return `student-mat.csv` of the UCI data set 320, which is not in the repository."""
    shared = Path(os.environ.get("BOATHOUSE_SHARED_DATA", REPOSITORY.parent / "shared" / "data"))
    path = shared / "students" / "student-mat.csv"
    if not path.is_file():
        raise BenchmarkError(
            f"There is no {path}. Get student-mat.csv of the UCI data set 320 (Student "
            "Performance) and set BOATHOUSE_SHARED_DATA to the folder above its `students`."
        )
    return path


def copy_student_files(target: Path, count: int) -> None:
    """Write copies of `student-mat.csv` under different names."""
    content = student_file().read_bytes()
    target.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        (target / f"student-mat_{number:06}.csv").write_bytes(content)


def copy_files(files: Path, target: Path) -> None:
    """Copy a folder's files, as deliveries that just came."""
    shutil.copytree(files, target)


def write_session_days(folder: str, days: int, events_a_day: int, players: int) -> Facts:
    """Write `session_events_<day>.jsonl`, not compressed, for each day up to `LAST_DAY`.

    The demo makes the same file of a day, whatever stretch of days it is asked for, as long as
    the stretch has the same length; that length decides how many players there are.
    """
    from boathouse import demo
    from boathouse.demo.sessions import EVENTS, PLAYERS

    scale = players / PLAYERS
    stretch = round(EVENTS * scale / events_a_day)
    events: dict[Path, int] = {}
    for back in range(0, days, stretch):
        until = LAST_DAY - timedelta(days=back)
        options = demo.DemoOptions(scale=scale, days=stretch, until=until)
        files = demo.generate(Path(folder), ["session_events"], options)
        for file in reversed(files):
            if len(events) < days:
                events[file.path] = file.rows
                _unpack(file.path)
            else:
                file.path.unlink()
    return {"seconds": 0.0, "events": sum(events.values())}


def _unpack(path: Path) -> None:
    if path.suffix == ".gz":
        content = gzip.decompress(path.read_bytes())
    elif path.suffix == ".bz2":
        content = bz2.decompress(path.read_bytes())
    else:
        return
    path.with_suffix("").write_bytes(content)
    path.unlink()


def make_sessions(folder: str, scale: int) -> Facts:
    """Load, build and release sessions alone: about 50,000 for each 1 of `scale`."""
    import duckdb

    from boathouse import demo, pipeline

    started = time.perf_counter()
    settings = settings_in(folder)
    options = demo.DemoOptions(scale=scale, days=14, until=LAST_DAY)
    demo.generate(settings.landing_folder, ["session_events"], options)
    pipeline.run(settings)
    with duckdb.connect(str(settings.warehouse), read_only=True) as con:
        ((sessions,),) = con.execute("select count(*) from marts.fct_sessions").fetchall()
    return {"seconds": time.perf_counter() - started, "sessions": sessions}


def load_and_build(folder: str, models: Sequence[str], compared: Mapping[str, str]) -> Facts:
    """Load all that waits and build models without tests, in a process that has parsed already.

    `compared` are marts and their columns of which the result has checksums.
    """
    from boathouse import lake
    from boathouse.build import prepare_manifest, run_build
    from boathouse.contracts import load_contracts
    from boathouse.ingest.loader import load

    settings = settings_in(folder)
    contracts = load_contracts(settings.project)
    started = time.perf_counter()
    manifest = prepare_manifest(settings)
    parsed = time.perf_counter()
    loaded = load(settings, contracts)
    tests = ["resource_type:test", "resource_type:unit_test"]
    report = run_build(settings, select=models, exclude=tests, manifest=manifest)
    done = time.perf_counter()
    report.require_green()
    nodes = {result.name: result.seconds for result in report.results}
    with lake.connect(settings, read_only=True) as opened:
        facts = checksums(opened.con, compared, "lake.marts.")
    return {
        **facts,
        **nodes,
        "seconds": done - parsed,
        "parse_seconds": parsed - started,
        "load": loaded.seconds,
        "engine_seconds": loaded.seconds + sum(nodes.values()),
        "dbt's overhead": report.seconds - sum(nodes.values()),
    }


def checksums(
    con: "duckdb.DuckDBPyConnection", compared: Mapping[str, str], schema: str = ""
) -> Facts:
    """Return what two results of the same rows have in common, whatever their order."""
    found = {}
    for table, columns in compared.items():
        query = (
            "select count(*) || ' rows, checksum ' || sum(hash(rows)) "
            f"from (select {columns} from {schema}{table}) as rows"
        )
        found[table] = con.execute(query).fetchall()[0][0]
    return {"tables": found}
