"""The release: the file that readers see, downstream of every mart; and going back."""

from collections.abc import Iterable

from dagster import (
    AssetExecutionContext,
    AssetKey,
    AssetMaterialization,
    AssetsDefinition,
    Config,
    JobDefinition,
    MaterializeResult,
    OpExecutionContext,
    asset,
    job,
    op,
)
from pydantic import Field

from boathouse import lake, lock
from boathouse.compaction import compact
from boathouse.ingest import originals
from boathouse.maintain.snapshots import thin
from boathouse.release import ReleaseReport, push, release, rollback
from boathouse.settings import Settings
from orchestration.project import Project
from orchestration.results import release_metadata
from orchestration.running import POOL, command_of, core_errors

RELEASE_KEY = AssetKey("release")
GROUP = "release"


class ReleaseConfig(Config):
    """What a release may do."""

    allow_shrink: bool = Field(
        default=False, description="Release also marts that have lost many of their rows."
    )


def release_asset(project: Project, marts: Iterable[AssetKey]) -> AssetsDefinition:
    """Return the asset of the released file."""

    @asset(
        key=RELEASE_KEY,
        deps=list(marts),
        group_name=GROUP,
        owners=["team:data"],
        kinds={"duckdb"},
        pool=POOL,
        description=(
            "The file that everybody reads, `warehouse.duckdb`. It is swapped as a whole, and only "
            "when every model and test of the project has passed and no mart has lost many of its "
            "rows; otherwise readers keep the release before."
        ),
    )
    def release_marts(
        context: AssetExecutionContext, config: ReleaseConfig
    ) -> MaterializeResult[None]:
        with core_errors(context):
            report = release_and_compact(
                project.settings, command_of(context), allow_shrink=config.allow_shrink
            )
        context.log.info(report.reason)
        return MaterializeResult(metadata=release_metadata(report, project.settings.warehouse))

    return release_marts


def release_and_compact(
    settings: Settings, command: str, *, allow_shrink: bool = False
) -> ReleaseReport:
    """Release, keep files and snapshots few, and send what goes elsewhere on its way."""
    with lock.writer(settings, command), lake.kept_attached():
        report = release(settings, keep_rollback=True, allow_shrink=allow_shrink)
        if report.is_new:
            with lake.connect(settings) as opened:
                compact(opened)
                thin(opened, settings)
    push(settings)
    originals.carry_off(settings)
    return report


class RollbackConfig(Config):
    """Which release to go back to."""

    release_id: int | None = Field(
        default=None, description="The release to show again; the one before when left out."
    )


def rollback_job(project: Project) -> JobDefinition:
    """Return the job that puts an earlier release back, at once, whatever else is running."""

    @op(description="Put an earlier release before the readers, in one atomic step.")
    def show_release(context: OpExecutionContext, config: RollbackConfig) -> None:
        with core_errors(context):
            shown = rollback(project.settings, config.release_id)
        context.log_event(
            AssetMaterialization(
                asset_key=RELEASE_KEY,
                metadata={
                    "release": shown.release_id,
                    "what happened": f"Rolled back to release {shown.release_id}.",
                    "lake snapshot": shown.lake_snapshot,
                },
            )
        )

    @job(
        name="roll_back",
        description=(
            "Put an earlier release back. Readers see it at once. Jobs keep it until data or "
            "models change; `release_id` says which one, by default the one before."
        ),
    )
    def roll_back_job() -> None:
        show_release()

    return roll_back_job
