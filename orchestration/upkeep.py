"""Maintenance and audits as jobs and schedules: of the lake, and of what Dagster itself keeps."""

import json
import shutil
import sqlite3
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from dagster import (
    Config,
    DagsterInstance,
    DagsterRunStatus,
    DefaultScheduleStatus,
    Failure,
    In,
    JobDefinition,
    Nothing,
    OpExecutionContext,
    RunsFilter,
    ScheduleDefinition,
    job,
    op,
)
from pydantic import Field

from boathouse.audit import audit
from boathouse.maintain import maintain
from orchestration.project import Project
from orchestration.running import POOL, core_errors
from orchestration.timetable import RUN_DAYS

_ENDED = [DagsterRunStatus.SUCCESS, DagsterRunStatus.FAILURE, DagsterRunStatus.CANCELED]


class MaintenanceConfig(Config):
    """How maintenance runs."""

    dry_run: bool = Field(default=False, description="Only say what would be done.")


def maintenance_job(project: Project) -> JobDefinition:
    """Return the job that keeps the lake, and Dagster's own storage, small and quick."""

    @op(pool=POOL, description="Compact, expire what no kept release needs, remove leftovers.")
    def maintain_lake(context: OpExecutionContext, config: MaintenanceConfig) -> None:
        with core_errors(context):
            report = maintain(project.settings, dry_run=config.dry_run)
        context.add_output_metadata({"report": report.as_dict()})

    @op(
        ins={"maintained": In(Nothing)},
        description=f"Forget runs of Dagster that ended more than {RUN_DAYS} days ago.",
    )
    def forget_old_runs(context: OpExecutionContext, config: MaintenanceConfig) -> None:
        before = datetime.now(UTC) - timedelta(days=RUN_DAYS)
        forgotten = forget_runs(
            context.instance, before, project.dagster_home, dry_run=config.dry_run
        )
        context.add_output_metadata({"runs": forgotten})

    @job(
        name="maintenance",
        description="Keep the lake small and quick without changing a row, and forget old runs.",
    )
    def maintenance() -> None:
        forget_old_runs(maintained=maintain_lake())

    return maintenance


class AuditConfig(Config):
    """How much an audit compares."""

    share: float = Field(default=0.01, ge=0, le=1, description="Of the keys of each model.")
    seconds: float = Field(default=300, ge=0, description="Most to spend.")


def audit_job(project: Project) -> JobDefinition:
    """Return the job that compares models with what a full refresh would give."""

    @op(pool=POOL, description="Compute some keys from everything, and compare.")
    def audit_models(context: OpExecutionContext, config: AuditConfig) -> None:
        with core_errors(context):
            report = audit(project.settings, share=config.share, seconds=config.seconds)
        context.add_output_metadata(
            {"report": json.loads(json.dumps(report.as_dict(), default=str))}
        )
        if not report.is_right:
            wrong = ", ".join(each.model for each in report.models if each.differences)
            raise Failure(
                f"These models differ from a full refresh: {wrong}. The next run makes them anew.",
                allow_retries=False,
            )

    @job(name="audit", description="Look whether incremental models hold what their SQL says.")
    def audit_all() -> None:
        audit_models()

    return audit_all


def forget_runs(
    instance: DagsterInstance, before: datetime, home: Path, *, dry_run: bool = False
) -> int:
    """Delete ended runs of before a time, with their events and logs; return how many.

    The newest materialization of an asset, and the newest result of a check, are events of their
    runs: a run that made one of them stays.
    """
    runs = instance.get_run_records(RunsFilter(statuses=_ENDED, created_before=before))
    needed = _runs_that_show(instance)
    old = [record.dagster_run.run_id for record in runs if record.dagster_run.run_id not in needed]
    for run_id in [] if dry_run else old:
        instance.delete_run(run_id)
        _remove_files(home, run_id)
    if old and not dry_run:
        _shrink(home)
    return len(old)


def _remove_files(home: Path, run_id: str) -> None:
    """Delete what Dagster leaves of a run that it has deleted: logs, and its events' database."""
    shutil.rmtree(home / "storage" / run_id, ignore_errors=True)
    for path in (home / "history" / "runs").glob(f"{run_id}.db*"):
        path.unlink(missing_ok=True)


def _shrink(home: Path) -> None:
    """Give the disk what deleted rows took; a database that is in use waits for tomorrow."""
    for path in (*home.glob("history/*.db"), *home.glob("history/runs/index.db")):
        with suppress(sqlite3.OperationalError), closing(sqlite3.connect(path)) as con:
            con.execute("vacuum")


def _runs_that_show(instance: DagsterInstance) -> set[str]:
    """Return the runs that made what the UI shows as the newest of each asset and partition."""
    records = instance.get_asset_records(list(instance.get_asset_keys()))
    return {
        record.asset_entry.last_materialization_record.run_id
        for record in records
        if record.asset_entry.last_materialization_record is not None
    }


def nightly(job: JobDefinition, cron: str) -> ScheduleDefinition:
    """Return the schedule that runs a job every night, at the time (UTC) that `cron` says."""
    minute, hour = cron.split()[:2]
    return ScheduleDefinition(
        job=job,
        name=f"{job.name}_nightly",
        cron_schedule=cron,
        execution_timezone="UTC",
        default_status=DefaultScheduleStatus.RUNNING,
        description=f"{job.name.capitalize()} every night at {hour}:{minute:0>2}.",
    )
