"""One message for a run that failed, or in which a check failed."""

from collections.abc import Sequence
from urllib.parse import urljoin

from dagster import (
    AssetCheckEvaluation,
    DagsterEventType,
    DagsterInstance,
    DagsterRun,
    DagsterRunStatus,
    DefaultSensorStatus,
    RunStatusSensorContext,
    SensorDefinition,
    run_status_sensor,
)

from boathouse.alerts import Alert, not_sent, send
from boathouse.settings import Settings
from orchestration.project import Project

MOST_NAMED = 10


def alert_sensors(project: Project) -> list[SensorDefinition]:
    """Return the sensors that send the message: one for each way in which a run may end."""
    return [
        _sensor(project, "alert_on_failure", DagsterRunStatus.FAILURE, "a run that failed"),
        _sensor(
            project,
            "alert_on_failed_check",
            DagsterRunStatus.SUCCESS,
            "a run that succeeded, but in which a check failed that does not block,",
        ),
    ]


def _sensor(project: Project, name: str, status: DagsterRunStatus, what: str) -> SensorDefinition:
    @run_status_sensor(
        run_status=status,
        name=name,
        minimum_interval_seconds=5,
        default_status=DefaultSensorStatus.RUNNING,
        description=f"Sends one message about {what} to where BOATHOUSE_ALERT_* says.",
    )
    def alert(context: RunStatusSensorContext) -> None:
        alert = alert_of(context.instance, context.dagster_run, status, project.settings)
        if alert is not None:
            for error in not_sent(send(project.settings, alert)):
                context.log.error(str(error))

    return alert


def alert_of(
    instance: DagsterInstance, run: DagsterRun, status: DagsterRunStatus, settings: Settings
) -> Alert | None:
    """Return the message about a run, or None when nothing in it failed.

    How it has ended is told by the event, `status`: what the run says of itself may be older.
    """
    checks = _failed_checks(instance, run.run_id)
    errors = _errors(instance, run.run_id)
    if status == DagsterRunStatus.SUCCESS and not checks:
        return None
    told = [f"- {_path(check)}: {check.description or 'failed'}" for check in checks[:MOST_NAMED]]
    if len(checks) > MOST_NAMED:
        told.append(f"- … and {len(checks) - MOST_NAMED} more checks")
    places = [_path(check) for check in checks[:MOST_NAMED]] or [step for step, _ in errors]
    verb = "failed" if status == DagsterRunStatus.FAILURE else "succeeded with failed checks"
    rows = [count for check in checks if (count := _rows(check)) is not None]
    return Alert(
        title=f"Boathouse: {run.job_name} {verb}",
        what="\n".join([*(text for _, text in errors), *told])
        or _why_it_ended(instance, run.run_id),
        where=", ".join(places) or run.job_name,
        rows=sum(rows) if rows else None,
        link=urljoin(f"{settings.alert_link.rstrip('/')}/", f"runs/{run.run_id}")
        if settings.alert_link
        else "",
    )


def _why_it_ended(instance: DagsterInstance, run_id: str) -> str:
    """Return what Dagster says of a run in which no step has failed."""
    for entry in instance.all_logs(run_id, of_type=DagsterEventType.RUN_FAILURE):
        event = entry.dagster_event
        data = event.job_failure_data if event is not None else None
        if data is not None and data.error is not None:
            cause = data.error
            while cause.cause is not None:
                cause = cause.cause
            return cause.message.strip()
        if event is not None and event.message:
            return event.message
    return "The run's process ended."


def _failed_checks(instance: DagsterInstance, run_id: str) -> list[AssetCheckEvaluation]:
    events = instance.all_logs(run_id, of_type=DagsterEventType.ASSET_CHECK_EVALUATION)
    found = [event.asset_check_evaluation for event in events]
    return [check for check in found if check is not None and not check.passed]


def _path(check: AssetCheckEvaluation) -> str:
    return f"{check.asset_key.to_user_string()}.{check.check_name}"


def _rows(check: AssetCheckEvaluation) -> int | None:
    found = check.metadata.get("rows rejected") or check.metadata.get("failing rows")
    return int(str(found.value)) if found is not None else None


def _errors(instance: DagsterInstance, run_id: str) -> Sequence[tuple[str, str]]:
    """Return the steps that failed by themselves, each with what was said."""
    found = []
    for entry in instance.all_logs(run_id, of_type=DagsterEventType.STEP_FAILURE):
        event = entry.dagster_event
        if event is None or event.step_key is None:
            continue
        failure = event.step_failure_data
        text = failure.error.message if failure.error else ""
        if failure.user_failure_data and failure.user_failure_data.description:
            text = failure.user_failure_data.description
        found.append((event.step_key, text.strip()))
    return found
