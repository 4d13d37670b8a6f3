"""Sources of one file a day, seen by their days: which are loaded, and loading one alone."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta

from dagster import (
    AssetKey,
    AssetMaterialization,
    AssetSpec,
    DailyPartitionsDefinition,
)

from boathouse.contracts import SOURCE_NAME, Contract
from boathouse.ingest import originals
from boathouse.ingest.days import day_of, has_days
from boathouse.ingest.health import LoadFacts
from orchestration.project import Project
from orchestration.running import Context

_DAYS_AT_LEAST = 30


def days_key(source: str) -> AssetKey:
    """Return the key of the asset that shows a source by day."""
    return AssetKey([SOURCE_NAME, f"{source}_by_day"])


def day_sources(project: Project) -> list[Contract]:
    """Return the contracts of the sources whose files are one for each day."""
    return [contract for contract in project.contracts.values() if has_days(contract)]


def day_partitions(project: Project, contract: Contract) -> DailyPartitionsDefinition:
    """Return the days from the first one whose file is in the archive until today.

    The lake would tell as well, but while it cannot be opened there would be no definitions, and
    so nobody who runs, and nobody who sends alerts.
    """
    names = originals.names(project.settings, contract.source)
    days = [day for name in names if (day := day_of(contract, name)) is not None]
    first = datetime.now(UTC).date() - timedelta(days=_DAYS_AT_LEAST)
    return DailyPartitionsDefinition(start_date=min([first, *days]).isoformat(), end_offset=1)


def day_specs(
    project: Project, partitions: Mapping[str, DailyPartitionsDefinition]
) -> list[AssetSpec]:
    """Return an asset for each such source that shows which of its days are loaded.

    It is not materialized by itself: loading the source notes the days, and the job
    `load_<source>_day` loads one of them alone. So “Materialize all” need not ask for a day.
    """
    return [
        AssetSpec(
            key=days_key(contract.source),
            deps=[AssetKey([SOURCE_NAME, contract.source])],
            description=(
                f"The days of `{contract.source}` that are loaded, one file each. To load a "
                f"missing or corrected day alone, launch the job `load_{contract.source}_day`."
            ),
            group_name=contract.domain,
            kinds={"ducklake"},
            partitions_def=partitions[contract.source],
        )
        for contract in day_sources(project)
    ]


def note_days(
    context: Context,
    contract: Contract,
    days: Mapping[date, int],
    facts: LoadFacts | None,
) -> None:
    """Tell Dagster of the days that were just loaded, or by others since it was last told."""
    key = days_key(contract.source)
    known = context.instance.get_materialized_partitions(key) if days else set()
    new = {day_of(contract, name) for name in facts.files} if facts and days else set()
    for day, rows in sorted(days.items()):
        if day in new or day.isoformat() not in known:
            context.log_event(
                AssetMaterialization(
                    asset_key=key,
                    partition=day.isoformat(),
                    metadata={"dagster/partition_row_count": rows},
                )
            )
