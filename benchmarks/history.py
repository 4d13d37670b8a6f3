"""Makes a lake with a history of days, then measures days that come on top, in one warm process."""

import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks import homes
from benchmarks.measure import Facts

if TYPE_CHECKING:
    from boathouse.build import BuildReport, Manifest
    from boathouse.settings import Settings

BATCH_DAYS = 25
DAYS_ONE_BY_ONE = 10
MODELS_DAYS = 3
JOB_DAYS = 3
# Between the two: a main job that tests and releases what the days without tests have left.
MEASURED_DAYS = MODELS_DAYS + 1 + JOB_DAYS

SOURCE = "session_events"
TESTS = ("resource_type:test", "resource_type:unit_test")


@dataclass(frozen=True)
class House:
    """A home with dbt warmed up."""

    settings: "Settings"
    contracts: Any
    manifest: "Manifest"

    def deliver(self, files: Sequence[Path]) -> None:
        """Put files into landing."""
        for file in files:
            shutil.copyfile(file, self.settings.landing_folder / SOURCE / file.name)

    def models_only(self, files: Sequence[Path]) -> Facts:
        """Load files and build what follows from them, without tests."""
        from boathouse.build import run_build
        from boathouse.ingest.loader import load

        self.deliver(files)
        started = time.perf_counter()
        loaded = load(self.settings, self.contracts)
        after = time.perf_counter()
        select = [f"source:raw.{SOURCE}+"]
        built = run_build(self.settings, select=select, exclude=TESTS, manifest=self.manifest)
        done = time.perf_counter()
        built.require_green()
        assert loaded.sources[SOURCE].files_loaded == len(files)
        return {"seconds": done - started, **_parts(after - started, done - after, built)}

    def job(self, file: Path) -> Facts:
        """Do the main job with one file."""
        from boathouse import pipeline

        self.deliver([file])
        report = pipeline.run(self.settings, manifest=self.manifest)
        seconds = report.seconds
        assert report.build is not None
        assert report.release is not None
        known = seconds["load"] + seconds["build"] + seconds["release"]
        return {
            "seconds": seconds["all"],
            "release": seconds["release"],
            "release steps": dict(report.release.seconds),
            "rest": seconds["all"] - known,
            **_parts(seconds["load"], seconds["build"], report.build),
        }

    def compact(self) -> None:
        """Compact the lake, as the main job does in the end."""
        from boathouse import compaction, lake, lock

        with lock.writer(self.settings, "benchmark"), lake.connect(self.settings) as opened:
            compaction.compact(opened)

    def lake_files(self) -> int:
        """Return the number of data files that the lake reads now."""
        from boathouse import lake

        query = (
            "select count(*) from __ducklake_metadata_lake.ducklake_data_file "
            "where end_snapshot is null"
        )
        with lake.connect(self.settings, read_only=True) as opened:
            return int(opened.value(query))


def _parts(load: float, build: float, report: "BuildReport") -> Facts:
    models = {each.name: each.seconds for each in report.results if each.kind == "model"}
    tests = {each.name: each.seconds for each in report.results if each.kind == "test"}
    nodes = sum(each.seconds for each in report.results)
    return {
        "load": load,
        "nodes": nodes,
        "dbt": build - nodes,
        "engine": load + nodes,
        "load and build": load + build,
        "models": models,
        "tests": tests,
    }


def one_more_day(folder: str, files: str, days: int, one_by_one: int) -> Facts:
    """Make a history of `days` days in `folder` and measure the last days of `files` on top.

    The last `one_by_one` days of the history come with a main job each.
    """
    from boathouse.build import prepare_manifest
    from boathouse.contracts import load_contracts

    settings = homes.settings_in(folder)
    homes.landing(Path(folder), SOURCE).mkdir(parents=True)
    house = House(settings, load_contracts(settings.project), prepare_manifest(settings))
    delivered = sorted(Path(files).iterdir())[-(days + MEASURED_DAYS) :]
    history, more = delivered[:days], delivered[days:]
    started = time.perf_counter()
    in_batches = max(0, days - one_by_one)
    for first in range(0, in_batches, BATCH_DAYS):
        house.models_only(history[first : min(first + BATCH_DAYS, in_batches)])
        house.compact()
    for file in history[in_batches:]:
        house.job(file)
    made = time.perf_counter() - started
    models = [house.models_only([file]) for file in more[:MODELS_DAYS]]
    house.job(more[MODELS_DAYS])
    job = [house.job(file) for file in more[MODELS_DAYS + 1 :]]
    return {"seconds": made, "lake files": house.lake_files(), "models": models, "job": job}
