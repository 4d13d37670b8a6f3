"""Every dbt model, seed and snapshot as an asset, made by one dbt invocation for each run."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from dagster import (
    AssetCheckEvaluation,
    AssetCheckKey,
    AssetCheckResult,
    AssetExecutionContext,
    AssetKey,
    AssetsDefinition,
    Config,
    Failure,
    MaterializeResult,
    MetadataValue,
)
from dagster_dbt import dbt_assets
from pydantic import Field

from boathouse import catalog, lake, lock, pipeline
from boathouse.build import BuildReport, prepare_manifest, run_build
from boathouse.contracts import SOURCE_NAME, load_contracts
from boathouse.errors import BuildError
from orchestration.project import Project
from orchestration.results import BuildEvents, open_to_read
from orchestration.running import POOL, Context, command_of, core_errors
from orchestration.translator import UNIQUE_ID, Translator


class BuildConfig(Config):
    """How models are built."""

    full_refresh: bool = Field(
        default=False, description="Make incremental models anew from all of raw."
    )
    with_stale: bool = Field(
        default=False,
        description="Also build what else is out of date: all after an edit or a failure.",
    )


def mart_assets(project: Project, translator: Translator) -> AssetsDefinition:
    """Return the assets of all dbt models, seeds and snapshots, with the data tests as checks."""
    names = node_keys(project, translator)

    @dbt_assets(
        manifest=project.manifest,
        dagster_dbt_translator=translator,
        name="build_models",
        pool=POOL,
    )
    def build_models(context: AssetExecutionContext, config: BuildConfig) -> Iterator[Any]:
        tests = {key: checks[key] for key in context.selected_asset_check_keys}
        select = selection(names, context.selected_asset_keys, tests)
        with core_errors(context):
            report = build(
                context,
                project,
                select,
                full_refresh=config.full_refresh,
                with_stale=config.with_stale,
            )
        with open_to_read(project) as opened:
            events = list(BuildEvents(project, translator, report).all(opened))
        chosen = context.selected_asset_check_keys
        made = context.selected_asset_keys
        for event in events:
            if isinstance(event, AssetCheckEvaluation):
                if event.asset_check_key in chosen:
                    yield _check_result(event)
                else:
                    # dbt also runs tests that this run was not asked for, and they count.
                    context.instance.report_runless_asset_event(event)
            elif event.asset_key in made:
                yield MaterializeResult(asset_key=event.asset_key, metadata=event.metadata)
            else:
                context.log_event(event)
        require_green(report)

    checks = {
        spec.key: project.nodes[spec.metadata[UNIQUE_ID]]["name"]
        for spec in build_models.check_specs
    }
    return build_models


def _check_result(event: AssetCheckEvaluation) -> AssetCheckResult:
    return AssetCheckResult(
        asset_key=event.asset_key,
        check_name=event.check_name,
        passed=event.passed,
        severity=event.severity,
        description=event.description,
        metadata=event.metadata,
    )


def node_keys(project: Project, translator: Translator) -> dict[AssetKey, str]:
    """Return the names in dbt of all models, seeds and snapshots, by their assets' keys."""
    return {
        translator.get_asset_key(node): node["name"]
        for node in project.manifest["nodes"].values()
        if node["resource_type"] in ("model", "seed", "snapshot")
    }


def selection(
    names: Mapping[AssetKey, str],
    made: Collection[AssetKey],
    checks: Mapping[AssetCheckKey, str],
) -> list[str]:
    """Return dbt's selectors for what a run was asked to make and to check; [] for everything.

    dbt adds every test that touches what is selected, so only checks on other assets are named:
    those of a source all together, by the source.
    """
    if set(made) == set(names):
        return []
    others = {
        f"source:{'.'.join(key.asset_key.path)}" if key.asset_key.path[0] == SOURCE_NAME else test
        for key, test in checks.items()
        if key.asset_key not in made
    }
    return [*sorted(names[key] for key in made), *sorted(others)]


def build(
    context: Context,
    project: Project,
    select: list[str],
    *,
    full_refresh: bool = False,
    with_stale: bool = False,
) -> BuildReport:
    """Build and test the selected nodes.

    With `with_stale` also what is out of date for other reasons, so that it can be released.
    """
    settings = project.settings
    with lock.writer(settings, command_of(context)), lake.kept_attached():
        with lake.connect(settings) as opened:
            catalog.ensure(opened, load_contracts(settings.project))
        to_do, manifest = pipeline.plan(settings)
        is_whole = not select
        if with_stale and not is_whole:
            is_whole = not to_do.is_empty and not to_do.select
            select = [] if is_whole else [*select, *to_do.select]
        return run_build(
            settings,
            select=select,
            # Unit tests speak of the code alone: they count when that has changed, or has failed.
            exclude=to_do.exclude if not full_refresh else [],
            full_refresh=full_refresh,
            tested_load=to_do.tested_load if with_stale and not is_whole else 0,
            manifest=manifest or prepare_manifest(settings),
        )


def require_green(report: BuildReport) -> None:
    """Fail the step when a node failed: nothing is released then, and trying again is no use.

    Raises:
        Failure: names what failed.
    """
    if report.is_green:
        return
    try:
        report.require_green()
    except BuildError as error:
        failed = "\n".join(f"- {result}" for result in report.failed)
        raise Failure(
            str(error), metadata={"failed": MetadataValue.md(failed)}, allow_retries=False
        ) from error


def descendants(project: Project, source: str) -> set[str]:
    """Return the ids of the models and snapshots that a source (`raw.<name>`) leads to."""
    children = project.manifest["child_map"]
    waiting = [f"source.{project.manifest['metadata']['project_name']}.{source}"]
    found: set[str] = set()
    while waiting:
        for child in children.get(waiting.pop(), []):
            if child.startswith(("model.", "snapshot.")) and child not in found:
                found.add(child)
                waiting.append(child)
    return found
