"""The main job: load what waits, build what that touches, release what passed its tests."""

import hashlib
import json
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from boathouse import lake, lock
from boathouse.build import BuildReport, Manifest, NodeProgress, find_blockers, run_build
from boathouse.checkpoints import reached
from boathouse.compaction import compact
from boathouse.contracts import SOURCE_NAME, load_contracts
from boathouse.ingest.loader import Progress, load
from boathouse.ingest.report import LoadReport
from boathouse.release import ReleaseReport
from boathouse.release import release as release_marts
from boathouse.settings import Settings

_PROJECT_FILES = ("models", "macros", "seeds", "snapshots", "tests/data")
SHORT_WAIT_SECONDS = 0.1  # for the writer lock: not worth telling


@dataclass(frozen=True)
class Built:
    """Up to where everything was built and tested: by which code, from which loads."""

    project_hash: str
    load_id: int


@dataclass
class RunReport:
    """What a run did; a step that was not needed is None."""

    load: LoadReport
    build: BuildReport | None = None
    release: ReleaseReport | None = None
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def has_changes(self) -> bool:
        """Return whether the run loaded, built or released anything."""
        released = self.release is not None and self.release.is_new
        return self.load.has_changes or self.build is not None or released

    def as_dict(self) -> dict[str, Any]:
        """Return everything as plain values, for JSON."""
        return asdict(self)


def run(
    settings: Settings,
    *,
    command: str = "boathouse run",
    on_load: Progress | None = None,
    on_build: Callable[[NodeProgress], None] | None = None,
    on_step: Callable[[str], None] | None = None,
    manifest: Manifest | None = None,
) -> RunReport:
    """Load, build what is touched, and release; one writer from beginning to end.

    Only models that follow sources with new loads are built, unless the models themselves
    changed or the last build was not green: then all of them are.

    Raises:
        BuildError: a model or test failed; what was loaded stays loaded, nothing is released.
        ReleaseError, LakeError, LockTimeoutError, ContractError: as the steps say.
    """
    tell = on_step or (lambda _: None)
    started = time.monotonic()
    with lock.writer(settings, command):
        waited = time.monotonic() - started
        tell("Loading")
        contracts = load_contracts(settings.project)
        report = RunReport(load(settings, contracts, command=command, on_progress=on_load))
        if waited > SHORT_WAIT_SECONDS:
            report.seconds["wait"] = waited
        report.seconds["load"] = time.monotonic() - started - waited
        reached("run:loaded")
        selection = what_to_build(settings)
        built = last_built(settings)
        if selection is not None:
            tell("Building")
            before_build = time.monotonic()
            report.build = run_build(
                settings,
                select=selection,
                # Unit tests speak of the code alone, and the code has passed them.
                exclude=["resource_type:unit_test"] if selection else [],
                tested_load=built.load_id if built and selection else 0,
                command=command,
                on_progress=on_build,
                manifest=manifest,
            )
            report.build.require_green()
            remember_built(settings)
            report.seconds["build"] = time.monotonic() - before_build
            reached("run:built")
        tell("Releasing")
        before_release = time.monotonic()
        report.release = release_marts(settings, keep_rollback=True)
        report.seconds["release"] = time.monotonic() - before_release
        if report.has_changes:
            with lake.connect(settings) as opened:
                compact(opened)
    report.seconds["all"] = time.monotonic() - started
    return report


def what_to_build(settings: Settings) -> list[str] | None:
    """Return dbt selectors of what is out of date: [] for everything, None for nothing."""
    with lake.connect(settings, read_only=True) as opened:
        built = last_built(settings)
        if built is None or built.project_hash != project_hash(settings.project):
            return []
        if find_blockers(opened):
            return []
        sources = opened.rows(
            "select distinct source from lake.meta.loads "
            "where load_id > ? and status in ('loaded', 'replaced') order by source",
            [built.load_id],
        )
    return [f"source:{SOURCE_NAME}.{source}+" for (source,) in sources] or None


def _built_file(settings: Settings) -> Path:
    return settings.home_folder / "dbt" / "built.json"


def last_built(settings: Settings) -> Built | None:
    """Return up to where the last green run built, or None when there was none."""
    try:
        return Built(**json.loads(_built_file(settings).read_text()))
    except (OSError, ValueError, TypeError):
        return None


def remember_built(settings: Settings) -> None:
    """Note that everything loaded so far has been built by the project as it is."""
    with lake.connect(settings, read_only=True) as opened:
        load_id = opened.value("select coalesce(max(load_id), 0) from lake.meta.loads")
    built = Built(project_hash(settings.project), load_id)
    path = _built_file(settings)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps(asdict(built)))
    temporary.replace(path)


def project_hash(project: Path) -> str:
    """Return a hash over everything that decides what a build makes."""
    digest = hashlib.sha256()
    for path in _project_files(project):
        digest.update(path.relative_to(project).as_posix().encode() + b"\0")
        digest.update(path.read_bytes() + b"\0")
    return digest.hexdigest()


def _project_files(project: Path) -> Iterable[Path]:
    yield project / "dbt_project.yml"
    yield project / "profiles.yml"
    for folder in _PROJECT_FILES:
        yield from sorted(path for path in (project / folder).rglob("*") if path.is_file())
