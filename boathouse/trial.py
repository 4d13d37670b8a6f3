"""Tries new sources out: their samples are loaded and built in a home that is thrown away."""

import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from boathouse import lake
from boathouse.build import run_build
from boathouse.contracts import SOURCE_NAME, load_contracts
from boathouse.ingest.loader import load
from boathouse.lake import Lake
from boathouse.scaffold import Scaffold
from boathouse.settings import Settings
from boathouse.sql import identifier


@dataclass(frozen=True)
class Trial:
    """What became of the samples of new sources."""

    rows_loaded: dict[str, int]  # by source; the staging model has the same, unless a problem
    tests: int  # data tests and unit tests that passed
    problems: tuple[str, ...]  # files, rows, models and tests that are not as they should be


def try_out(settings: Settings, made: Sequence[Scaffold]) -> Trial:
    """Load the samples of new sources, build their staging models and compare them with raw.

    Raises:
        BuildError: dbt could not run at all; says why.
    """
    contracts = load_contracts(settings.project)
    with tempfile.TemporaryDirectory(prefix="boathouse-trial-") as folder:
        alone = settings.alone_in(Path(folder) / "data")
        scratch = alone.model_copy(update={"settle_seconds": 0})
        for each in made:
            for number, sample in enumerate(each.samples):
                target = scratch.landing_folder / each.source / str(number) / sample.name
                target.parent.mkdir(parents=True)
                shutil.copyfile(sample, target)
        loaded = load(scratch, {each.source: contracts[each.source] for each in made})
        sources = [f"source:{SOURCE_NAME}.{each.source}" for each in made]
        built = run_build(scratch, select=[*(each.model for each in made), *sources])
        problems = [f"{problem.file}: {problem.reason}" for problem in loaded.problems]
        problems += map(str, built.failed)
        if built.is_green:
            with lake.connect(scratch, read_only=True) as opened:
                differing = {each.model: _differing(opened, each) for each in made}
            problems += [
                f"{model} and raw differ in {count:,} rows"
                for model, count in differing.items()
                if count
            ]
    return Trial(
        {each.source: loaded.sources[each.source].rows_loaded for each in made},
        sum(result.kind in ("test", "unit_test") for result in built.results if result.is_green),
        tuple(problems),
    )


def _differing(opened: Lake, made: Scaffold) -> int:
    """Return how many rows only one of the staging model and raw has."""
    raw = ", ".join(identifier(column.name) for column in made.columns)
    staged = ", ".join(identifier(column.staged) for column in made.columns)
    ours = f"select {raw} from lake.raw.{identifier(made.source)}"
    theirs = f"select {staged} from lake.staging.{identifier(made.model)}"
    return int(
        opened.value(
            f"select count(*) from (({ours} except all {theirs}) "
            f"union all ({theirs} except all {ours}))"
        )
    )
