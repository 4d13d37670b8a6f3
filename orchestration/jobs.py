"""The jobs a person starts, and the schedules that start them."""

from collections.abc import Mapping, Sequence
from datetime import date

from dagster import (
    AssetMaterialization,
    AssetSelection,
    DailyPartitionsDefinition,
    DefaultScheduleStatus,
    In,
    JobDefinition,
    Nothing,
    OpExecutionContext,
    RunConfig,
    ScheduleDefinition,
    define_asset_job,
    job,
    op,
)
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from boathouse.contracts import Contract
from boathouse.ingest import health
from boathouse.ingest.days import load_days, loaded_days
from boathouse.ingest.report import SourceReport
from orchestration.days import note_days
from orchestration.marts import BuildConfig, build, require_green
from orchestration.project import Project
from orchestration.releasing import RELEASE_KEY, ReleaseConfig, release_and_compact
from orchestration.results import (
    BuildEvents,
    load_metadata,
    open_to_read,
    release_metadata,
    table_metadata,
)
from orchestration.running import POOL, command_of, core_errors
from orchestration.sources import LoadConfig, source_key
from orchestration.timetable import CALENDAR, CalendarEntry
from orchestration.translator import Translator

EVERYTHING = "everything"
DELIVERIES = "deliveries"
_WITH_STALE = RunConfig(ops={"build_models": BuildConfig(with_stale=True)})


def asset_jobs(project: Project) -> list[UnresolvedAssetJobDefinition]:
    """Return the jobs over all assets."""
    replays = {f"load_{source}": LoadConfig(replay_quarantine=True) for source in project.contracts}
    return [
        define_asset_job(
            EVERYTHING,
            selection=AssetSelection.all(),
            description="The main job: load all that waits, build and test everything, release.",
        ),
        define_asset_job(
            "full_refresh",
            selection=AssetSelection.all(),
            config=RunConfig(ops={"build_models": BuildConfig(full_refresh=True)}),
            description="As everything, but incremental models are made anew from all of raw.",
        ),
        define_asset_job(
            "replay_quarantine",
            selection=AssetSelection.all(),
            config=RunConfig(ops=replays),
            description=(
                "Load rejected rows and files again, after a fix to the data or the contract; "
                "then build, test and release. Nothing is loaded twice."
            ),
        ),
    ]


def deliveries_job() -> UnresolvedAssetJobDefinition:
    """Return the job that the sensor on landing starts, for part of the assets."""
    return define_asset_job(
        DELIVERIES,
        selection=AssetSelection.all(),
        config=_WITH_STALE,
        description="What the sensor `landing` starts: load what arrived, build what it touches.",
    )


def what_follows(sources: Sequence[str]) -> AssetSelection:
    """Return some sources and all that follows from them, the release included."""
    return AssetSelection.assets(*map(source_key, sources)).downstream()


def calendar_schedules(project: Project) -> list[ScheduleDefinition]:
    """Return the schedules of the timetable whose sources are in the project."""
    return [
        _schedule(entry, sources)
        for entry in CALENDAR
        if (sources := [source for source in entry.sources if source in project.contracts])
    ]


def _schedule(entry: CalendarEntry, sources: Sequence[str]) -> ScheduleDefinition:
    return ScheduleDefinition(
        job=define_asset_job(
            entry.name,
            selection=what_follows(sources),
            config=_WITH_STALE,
            description=entry.description,
        ),
        name=entry.name,
        cron_schedule=entry.cron,
        description=entry.description,
        execution_timezone="UTC",
        default_status=DefaultScheduleStatus.RUNNING,
    )


def day_job(
    project: Project,
    translator: Translator,
    contract: Contract,
    partitions: DailyPartitionsDefinition,
) -> JobDefinition:
    """Return the job that loads one day of a source again, builds what follows, and releases."""
    source = contract.source

    @op(name=f"load_{source}_of_day", pool=POOL, description="Load the day's files alone.")
    def load_day(context: OpExecutionContext) -> None:
        day = date.fromisoformat(context.partition_key)
        with core_errors(context):
            loaded = load_days(
                project.settings, project.contracts, source, [day], command=command_of(context)
            )
        report = loaded.sources.get(source, SourceReport())
        with open_to_read(project) as opened:
            facts = health.load_facts(opened, contract, report.load_ids)
            metadata = load_metadata(report, facts, loaded.seconds, opened.current_snapshot())
            metadata |= table_metadata(opened, contract)
            days = loaded_days(opened, contract)
        context.log_event(AssetMaterialization(asset_key=source_key(source), metadata=metadata))
        note_days(context, contract, days, facts)

    @op(
        name=f"build_after_{source}",
        ins={"loaded": In(Nothing)},
        pool=POOL,
        description="Build and test what follows from it.",
    )
    def build_stale(context: OpExecutionContext) -> None:
        with core_errors(context):
            report = build(context, project, [f"source:raw.{source}+"])
        with open_to_read(project) as opened:
            for event in BuildEvents(project, translator, report).all(opened):
                context.log_event(event)  # type: ignore[arg-type]  # it takes results of checks too
        require_green(report)

    @op(
        name=f"release_after_{source}",
        ins={"built": In(Nothing)},
        pool=POOL,
        description="Release what passed.",
    )
    def release_built(context: OpExecutionContext, config: ReleaseConfig) -> None:
        with core_errors(context):
            report = release_and_compact(
                project.settings, command_of(context), allow_shrink=config.allow_shrink
            )
        metadata = release_metadata(report, project.settings.warehouse)
        context.log_event(AssetMaterialization(asset_key=RELEASE_KEY, metadata=metadata))

    @job(
        name=f"load_{source}_day",
        partitions_def=partitions,
        description=(
            f"Load one day of `{source}` alone, from landing or else again from the archive, "
            "build what follows from it, and release."
        ),
    )
    def load_one_day() -> None:
        release_built(built=build_stale(loaded=load_day()))

    return load_one_day


def day_jobs(
    project: Project, translator: Translator, partitions: Mapping[str, DailyPartitionsDefinition]
) -> list[JobDefinition]:
    """Return a job for each source whose files are one for each day."""
    return [
        day_job(project, translator, project.contracts[source], days)
        for source, days in partitions.items()
    ]
