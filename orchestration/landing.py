"""The sensor on landing: all files that wait become one run that builds only what they touch."""

import hashlib
import json
import time
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass

from dagster import (
    AssetKey,
    DagsterRunStatus,
    DefaultSensorStatus,
    RunRequest,
    RunsFilter,
    SensorDefinition,
    SensorEvaluationContext,
    SensorResult,
    SkipReason,
    sensor,
)
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from boathouse.ingest import deliveries
from boathouse.ingest.deliveries import Waiting
from orchestration.project import Project

LANDING_TAG = "boathouse/landing"
# A tick looks again and again for this long, since Dagster begins one every five seconds at best.
WATCH_SECONDS = 4.5
LOOK_SECONDS = 0.25
FIRST_PAUSE_SECONDS = 60.0
MOST_PAUSE_SECONDS = 3600.0
_UNFINISHED = (
    DagsterRunStatus.QUEUED,
    DagsterRunStatus.NOT_STARTED,
    DagsterRunStatus.STARTING,
    DagsterRunStatus.STARTED,
    DagsterRunStatus.CANCELING,
)


@dataclass(frozen=True)
class Asked:
    """The run that was asked for last: for which files, how often, and when (seconds)."""

    files: str = ""
    attempts: int = 0
    at: float = 0.0

    @classmethod
    def read(cls, cursor: str | None) -> "Asked":
        """Return what a cursor holds; nothing when it cannot be read."""
        try:
            return cls(**json.loads(cursor or "{}"))
        except (ValueError, TypeError):
            return cls()

    @property
    def run_key(self) -> str:
        """Return a key that differs for each attempt."""
        return f"{self.files}-{self.attempts}"

    def next(self, files: str, now: float) -> "Asked | None":
        """Return the run to ask for now, or None when it is too early to try these files again.

        They still wait after a run, so that run failed. The pause doubles each time.
        """
        if files != self.files:
            return Asked(files, 1, now)
        pause = min(FIRST_PAUSE_SECONDS * 2 ** (self.attempts - 1), MOST_PAUSE_SECONDS)
        return Asked(files, self.attempts + 1, now) if now >= self.at + pause else None


def fingerprint(waiting: Waiting) -> str:
    """Return a text that is the same as long as the same files wait."""
    files = [
        (file.source, file.name, file.size, file.modified_ns)
        for files in waiting.by_source.values()
        for file in files
    ]
    return hashlib.sha256(json.dumps(sorted(files)).encode()).hexdigest()[:16]


def landing_sensor(
    project: Project,
    job: UnresolvedAssetJobDefinition,
    touched: Mapping[str, Collection[AssetKey]],
) -> SensorDefinition:
    """Return the sensor that starts the job for what follows from the sources that have files.

    `touched` says for each source which assets that are, itself included.
    """

    @sensor(
        name="landing",
        job=job,
        minimum_interval_seconds=1,
        default_status=DefaultSensorStatus.RUNNING,
        description=(
            "Looks into landing. All files that wait become one run, which loads them, builds what "
            "they touch and releases it. Files that are still being written wait; files that a run "
            "has failed on are tried again, later and later."
        ),
    )
    def landing(context: SensorEvaluationContext) -> SensorResult | SkipReason:
        if unfinished := _unfinished_run(context):
            return SkipReason(f"Run {unfinished} is still at it.")
        waiting = _wait_for_files(project)
        if not waiting.count:
            waiting.require_reached()
            return SkipReason("Nothing waits in landing.")
        asked = Asked.read(context.cursor)
        now = asked.next(fingerprint(waiting), time.time())
        if now is None:
            return SkipReason(f"{waiting.count} files that a run has failed on wait for a retry.")
        request = RunRequest(
            run_key=now.run_key,
            asset_selection=sorted(
                {key for source in waiting.by_source for key in touched[source]}
            ),
            tags={LANDING_TAG: f"{waiting.count} files", "boathouse/attempt": str(now.attempts)},
        )
        return SensorResult(run_requests=[request], cursor=json.dumps(asdict(now)))

    return landing


def _unfinished_run(context: SensorEvaluationContext) -> str | None:
    tags = {"dagster/sensor_name": context.sensor_name}
    runs = context.instance.get_run_records(
        RunsFilter(statuses=list(_UNFINISHED), tags=tags), limit=1
    )
    return runs[0].dagster_run.run_id[:8] if runs else None


def _wait_for_files(project: Project) -> Waiting:
    deadline = time.monotonic() + WATCH_SECONDS
    while True:
        waiting = deliveries.find(project.settings, project.contracts)
        if waiting.count or waiting.trouble or time.monotonic() > deadline:
            return waiting
        time.sleep(LOOK_SECONDS)
