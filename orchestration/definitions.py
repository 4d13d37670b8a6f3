"""The code location: everything that Dagster shows and runs."""

from collections.abc import Collection, Sequence
from functools import cache

from dagster import AssetKey, AssetsDefinition, Definitions, definitions, in_process_executor

from boathouse.settings import Settings
from orchestration.alerting import alert_sensors
from orchestration.days import day_partitions, day_sources, day_specs
from orchestration.jobs import (
    asset_jobs,
    calendar_schedules,
    day_jobs,
    deliveries_job,
    what_follows,
)
from orchestration.landing import landing_sensor
from orchestration.marts import mart_assets
from orchestration.project import Project, load_project
from orchestration.releasing import release_asset, rollback_job
from orchestration.sources import source_assets
from orchestration.timetable import AUDIT_CRON, MAINTENANCE_CRON
from orchestration.translator import Translator
from orchestration.upkeep import audit_job, maintenance_job, nightly


def build_definitions(project: Project) -> Definitions:
    """Return all definitions of a project."""
    translator = Translator()
    models = mart_assets(project, translator)
    marts = [key for key in models.keys if key.path[0] == "marts"]
    assets = [*source_assets(project, translator), models, release_asset(project, marts)]
    partitions = {
        contract.source: day_partitions(project, contract) for contract in day_sources(project)
    }
    specs = day_specs(project, partitions)
    maintenance = maintenance_job(project)
    audits = audit_job(project)
    deliveries = deliveries_job()
    return Definitions(
        assets=[*assets, *specs],
        jobs=[
            *asset_jobs(project),
            deliveries,
            *day_jobs(project, translator, partitions),
            rollback_job(project),
            maintenance,
            audits,
        ],
        schedules=[
            *calendar_schedules(project),
            nightly(maintenance, MAINTENANCE_CRON),
            nightly(audits, AUDIT_CRON),
        ],
        sensors=[
            landing_sensor(project, deliveries, _touched(project, assets)),
            *alert_sensors(project),
        ],
        executor=in_process_executor,
    )


def _touched(
    project: Project, assets: Sequence[AssetsDefinition]
) -> dict[str, Collection[AssetKey]]:
    """Return for each source the assets that follow from it, itself included."""
    return {source: what_follows([source]).resolve(assets) for source in project.contracts}


@definitions
@cache  # Dagster asks twice in the process of a run; a reload is a new process
def defs() -> Definitions:
    """Return the definitions of the project that the settings name, when Dagster asks for them."""
    return build_definitions(load_project(Settings()))
