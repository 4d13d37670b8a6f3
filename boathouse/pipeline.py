"""The main job: load what waits, build what that touches, release what passed its tests."""

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import Any

from boathouse import lake, lock
from boathouse.build import (
    BuildReport,
    Manifest,
    NodeProgress,
    Plan,
    make_plan,
    nodes,
    prepare_manifest,
    project_hash,
    run_build,
)
from boathouse.checkpoints import reached
from boathouse.compaction import compact
from boathouse.contracts import load_contracts
from boathouse.errors import BoathouseError, BuildError, ReleaseError
from boathouse.ingest import originals
from boathouse.ingest.loader import Progress, load
from boathouse.ingest.report import LoadReport
from boathouse.maintain.snapshots import thin
from boathouse.release import ReleaseReport, push
from boathouse.release import release as release_marts
from boathouse.settings import Settings

SHORT_WAIT_SECONDS = 0.1  # for the writer lock: not worth telling


@dataclass
class RunReport:
    """What a run did; a step that was not needed is None."""

    load: LoadReport
    build: BuildReport | None = None
    release: ReleaseReport | None = None
    is_pushed: bool = False  # those who pull releases see another one now
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def has_changes(self) -> bool:
        """Return whether the run loaded, built or released anything."""
        released = self.release is not None and self.release.is_new
        return self.load.has_changes or self.build is not None or released

    def as_dict(self) -> dict[str, Any]:
        """Return everything as plain values, for JSON."""
        return {**asdict(self), "load": self.load.as_dict()}


@lock.starting_over
def run(
    settings: Settings,
    *,
    command: str = "boathouse run",
    on_load: Progress | None = None,
    on_build: Callable[[NodeProgress], None] | None = None,
    on_step: Callable[[str], None] | None = None,
    manifest: Manifest | None = None,
    allow_shrink: bool = False,
) -> RunReport:
    """Load, build what is touched, and release; one writer from beginning to end.

    Only what is out of date is built: see `boathouse.build.plan`. With `allow_shrink` marts may
    have lost any number of rows. With `BOATHOUSE_RELEASES` the release goes there, too, when others
    may write again, and the originals to `BOATHOUSE_ARCHIVE`. Whether all that waits could be
    reached is told by the report: see `LoadReport.require_reached`.

    Raises:
        BuildError: a model or test failed; what was loaded stays loaded, nothing is released.
        ReleaseError, LakeError, LockTimeoutError, ContractError: as the steps say.
    """
    tell = on_step or (lambda _: None)
    started = time.monotonic()
    with lock.writer(settings, command), lake.kept_attached():
        waited = time.monotonic() - started
        tell("Loading")
        contracts = load_contracts(settings.project)
        report = RunReport(load(settings, contracts, command=command, on_progress=on_load))
        if waited > SHORT_WAIT_SECONDS:
            report.seconds["wait"] = waited
        report.seconds["load"] = time.monotonic() - started - waited
        reached("run:loaded")
        before_build = time.monotonic()
        is_warm = manifest is not None
        to_do, manifest = plan(settings, manifest)
        try:
            if not to_do.is_empty:
                tell("Building")
                report.build = run_build(
                    settings,
                    select=to_do.select,
                    exclude=to_do.exclude,
                    tested_load=to_do.tested_load,
                    command=command,
                    on_progress=on_build,
                    manifest=manifest,
                    is_warm=is_warm,
                )
                report.build.require_green()
                report.seconds["build"] = time.monotonic() - before_build
                reached("run:built")
            tell("Releasing")
            before_release = time.monotonic()
            report.release = release_marts(settings, keep_rollback=True, allow_shrink=allow_shrink)
            report.seconds["release"] = time.monotonic() - before_release
        except (BuildError, ReleaseError):
            # Which may be so for weeks, delivery after delivery.
            with suppress(BoathouseError), lake.connect(settings) as opened:
                thin(opened, settings)
            with suppress(BoathouseError):
                originals.carry_off(settings)
            raise
        if report.has_changes:
            with lake.connect(settings) as opened:
                compact(opened)
                thin(opened, settings)
    before_push = time.monotonic()
    report.is_pushed = push(settings)
    if report.is_pushed:
        report.seconds["push"] = time.monotonic() - before_push
    before_carrying = time.monotonic()
    if originals.carry_off(settings):
        report.seconds["archive"] = time.monotonic() - before_carrying
    report.seconds["all"] = time.monotonic() - started
    return report


def plan(settings: Settings, manifest: Manifest | None = None) -> tuple[Plan, Manifest | None]:
    """Return what a build has to do, and the project if it had to be parsed to know that.

    The project is parsed when its files are not those that the lake knows the nodes of. The lake
    must have its tables, as loading has seen to.

    Raises:
        BuildError: the project cannot be parsed; says where and why.
    """
    files = project_hash(settings.project)
    with lock.writer(settings, "boathouse plan"):
        with lake.connect(settings) as opened:
            if nodes.remembered_files(opened) == files:
                return make_plan(opened), manifest
        if manifest is None or manifest.files != files:
            manifest = prepare_manifest(settings)
        with lake.connect(settings) as opened:
            nodes.remember(opened, manifest.nodes, manifest.files)
            return make_plan(opened), manifest
