"""One asset for each raw source; materializing it loads what waits for it in landing."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from dagster import (
    AssetCheckResult,
    AssetCheckSeverity,
    AssetCheckSpec,
    AssetExecutionContext,
    AssetKey,
    AssetsDefinition,
    AssetSpec,
    Config,
    FreshnessPolicy,
    MaterializeResult,
    TableSchema,
    multi_asset,
)
from pydantic import Field

from boathouse import lock
from boathouse.contracts import SOURCE_NAME, Contract
from boathouse.ingest import health, quarantine
from boathouse.ingest.days import has_days, loaded_days
from boathouse.ingest.loader import load
from boathouse.ingest.report import SourceReport
from boathouse.lake import Lake
from orchestration.days import note_days
from orchestration.project import Project
from orchestration.results import load_metadata, open_to_read, table_metadata
from orchestration.running import POOL, command_of, core_errors
from orchestration.translator import Translator, age_limit

ADDS_UP, FEW_REJECTS, USUAL_SIZE, FRESH = "adds_up", "few_rejects", "usual_size", "fresh"
_NOTHING = "Nothing new was delivered."


class LoadConfig(Config):
    """How a source is loaded."""

    replay_quarantine: bool = Field(
        default=False, description="Also load again what was rejected, after a fix."
    )


def source_node(project: Project, source: str) -> Mapping[str, Any]:
    """Return dbt's entry for a raw source."""
    for node in project.manifest["sources"].values():
        if (node["source_name"], node["name"]) == (SOURCE_NAME, source):
            found: Mapping[str, Any] = node
            return found
    raise KeyError(source)


def source_key(source: str) -> AssetKey:
    """Return the key of a source's asset, which is that of the dbt source."""
    return AssetKey([SOURCE_NAME, source])


def source_assets(project: Project, translator: Translator) -> list[AssetsDefinition]:
    """Return the assets of all raw sources."""
    return [_asset(project, translator, contract) for contract in project.contracts.values()]


def _asset(project: Project, translator: Translator, contract: Contract) -> AssetsDefinition:
    node = source_node(project, contract.source)

    @multi_asset(
        name=f"load_{contract.source}",
        specs=[_spec(translator, contract, node)],
        check_specs=_check_specs(contract, node),
        pool=POOL,
    )
    def load_source(context: AssetExecutionContext, config: LoadConfig) -> Iterator[Any]:
        with core_errors(context):
            act = quarantine.replay if config.replay_quarantine else load
            with lock.writer(project.settings, command_of(context)):
                loaded = act(project.settings, project.contracts, sources=(contract.source,))
            report = loaded.sources.get(contract.source, SourceReport())
            if not report.load_ids:  # what was loaded shall be built; the sensor tells the rest
                loaded.require_reached()
        if loaded.trouble is not None:
            context.log.warning(str(loaded.trouble))
        for problem in loaded.problems:
            context.log.warning(f"{problem.file} ({problem.status}): {problem.reason}")
        with open_to_read(project) as opened:
            facts = None
            if report.load_ids:
                facts = health.load_facts(opened, contract, report.load_ids)
            metadata = load_metadata(report, facts, loaded.seconds, opened.current_snapshot())
            metadata |= table_metadata(opened, contract)
            age = _age(opened, contract)
            days = loaded_days(opened, contract) if has_days(contract) else {}
        yield MaterializeResult(asset_key=source_key(contract.source), metadata=metadata)
        note_days(context, contract, days, facts)
        yield from _judge_load(contract, facts)
        if (fresh := _judge_age(contract, node, age)) is not None:
            yield fresh

    return load_source


def _spec(translator: Translator, contract: Contract, node: Mapping[str, Any]) -> AssetSpec:
    patterns = " or ".join(f"`{pattern}`" for pattern in contract.landing.files)
    limit = age_limit(node, "error_after") or age_limit(node, "warn_after")
    warning = age_limit(node, "warn_after") if age_limit(node, "error_after") else None
    return AssetSpec(
        key=source_key(contract.source),
        description=(
            f"{translator.get_description(node)}\n\nDelivered as {patterns} in "
            f"`landing/{contract.source}`; materializing it loads what waits there."
        ),
        group_name=contract.domain,
        owners=translator.get_owners(node),
        kinds={"ducklake", contract.landing.format[0]},
        freshness_policy=FreshnessPolicy.time_window(limit, warning) if limit else None,
        metadata={"dagster/column_schema": _contract_schema(node)},
    )


def _contract_schema(node: Mapping[str, Any]) -> TableSchema:
    schema = Translator().get_metadata(node)["dagster/column_schema"]
    assert isinstance(schema, TableSchema)
    return schema


def _check_specs(contract: Contract, node: Mapping[str, Any]) -> list[AssetCheckSpec]:
    key = source_key(contract.source)
    specs = [
        AssetCheckSpec(
            ADDS_UP,
            asset=key,
            blocking=True,
            description="Every record that was read is in the raw table or in quarantine.",
        ),
        AssetCheckSpec(
            FEW_REJECTS,
            asset=key,
            description=f"At most {health.MOST_REJECTED:.0%} of the records, and no whole file, "
            "were rejected.",
        ),
        AssetCheckSpec(
            USUAL_SIZE,
            asset=key,
            description="The files are about as large as this source's files were before.",
        ),
    ]
    if age_limit(node, "warn_after") or age_limit(node, "error_after"):
        limit = age_limit(node, "warn_after") or age_limit(node, "error_after")
        specs.append(
            AssetCheckSpec(
                FRESH,
                asset=key,
                description=f"Something was delivered within the last {_readable(limit)}.",
            )
        )
    return specs


def _judge_load(contract: Contract, facts: health.LoadFacts | None) -> Iterator[AssetCheckResult]:
    key = source_key(contract.source)
    if facts is None:
        for name in (ADDS_UP, FEW_REJECTS, USUAL_SIZE):
            yield AssetCheckResult(
                asset_key=key, check_name=name, passed=True, description=_NOTHING
            )
        return
    yield AssetCheckResult(
        asset_key=key,
        check_name=ADDS_UP,
        passed=facts.adds_up,
        metadata={
            "rows read": facts.rows_read,
            "rows loaded": facts.rows_loaded,
            "rows rejected": facts.rows_rejected,
            "rows found in raw": facts.rows_in_raw,
            "rows found in quarantine": facts.rows_in_quarantine,
        },
    )
    yield AssetCheckResult(
        asset_key=key,
        check_name=FEW_REJECTS,
        passed=facts.reject_share <= health.MOST_REJECTED and not facts.files_rejected,
        severity=AssetCheckSeverity.WARN,
        description=f"{facts.rows_rejected:,} of {facts.rows_read:,} records and "
        f"{facts.files_rejected:,} whole files were rejected.",
        metadata={"rows rejected": facts.rows_rejected, "share": round(facts.reject_share, 4)},
    )
    yield AssetCheckResult(
        asset_key=key,
        check_name=USUAL_SIZE,
        passed=facts.is_usual,
        severity=AssetCheckSeverity.WARN,
        description=_size(facts),
        metadata={"rows per file": facts.rows_per_file or 0},
    )


def _size(facts: health.LoadFacts) -> str:
    if facts.usual is None or facts.rows_per_file is None:
        return "There are too few earlier files to tell what is usual."
    usual = f"{facts.usual.least:,.0f} to {facts.usual.most:,.0f}"
    return (
        f"{facts.rows_per_file:,.0f} rows in a file; {usual} are usual after "
        f"{facts.usual.files} earlier files."
    )


def _age(opened: Lake, contract: Contract) -> timedelta | None:
    loaded_at = health.last_loaded_at(opened, contract)
    return datetime.now(UTC).replace(tzinfo=None) - loaded_at if loaded_at else None


def _judge_age(
    contract: Contract, node: Mapping[str, Any], age: timedelta | None
) -> AssetCheckResult | None:
    """Return whether the newest load is young enough; without any limit, nothing."""
    warning, error = age_limit(node, "warn_after"), age_limit(node, "error_after")
    limit = warning or error
    if limit is None:
        return None
    is_error = error is not None and age is not None and age > error
    told = f"{_readable(age)} ago" if age is not None else "never"
    return AssetCheckResult(
        asset_key=source_key(contract.source),
        check_name=FRESH,
        passed=age is not None and age <= limit,
        severity=AssetCheckSeverity.ERROR if is_error else AssetCheckSeverity.WARN,
        description=f"Last loaded: {told}. Expected within {_readable(limit)}.",
    )


def _readable(span: timedelta | None) -> str:
    """Return a time span in the largest unit that fits it: `3 days`."""
    seconds = (span or timedelta()).total_seconds()
    for unit, size in (("day", 86_400), ("hour", 3_600), ("minute", 60), ("second", 1)):
        if seconds >= 2 * size or (unit == "second"):
            count = round(seconds / size)
            return f"{count} {unit}" if count == 1 else f"{count} {unit}s"
    raise AssertionError("unreachable")
