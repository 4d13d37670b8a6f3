"""What a load, a build or a release came to, as Dagster's events with their metadata."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dagster import (
    AssetCheckEvaluation,
    AssetCheckSeverity,
    AssetKey,
    AssetMaterialization,
    MetadataValue,
    TableColumn,
    TableColumnDep,
    TableColumnLineage,
    TableSchema,
)

from boathouse import lake
from boathouse.build import BuildReport, NodeResult
from boathouse.contracts import Contract
from boathouse.ingest.health import LoadFacts
from boathouse.ingest.report import SourceReport
from boathouse.lake import Lake
from boathouse.release import ReleaseReport
from boathouse.sql import identifier
from orchestration.lineage import Columns, Relation, column_origins
from orchestration.project import Project
from orchestration.translator import Translator, check_name, shown_at

Event = AssetMaterialization | AssetCheckEvaluation
MOST_FILES = 50  # named in the metadata of one materialization
_DONE = ("success", "no-op")


# -- loads ---------------------------------------------------------------------------------


def load_metadata(
    report: SourceReport, facts: LoadFacts | None, seconds: float, snapshot: int
) -> dict[str, Any]:
    """Return what a person wants to know of a load of one source."""
    files = facts.files if facts else ()
    named = "\n".join(f"- `{name}`" for name in files[:MOST_FILES])
    if len(files) > MOST_FILES:
        named += f"\n- … and {len(files) - MOST_FILES} more"
    return {
        "rows loaded": report.rows_loaded,
        "rows rejected": report.rows_rejected,
        "files loaded": report.files_loaded,
        "files rejected": report.files_rejected,
        "files seen before": report.files_duplicate,
        "file names": MetadataValue.md(named or "Nothing new was delivered."),
        "seconds": round(seconds, 2),
        "lake snapshot": snapshot,
    }


def table_metadata(opened: Lake, contract: Contract) -> dict[str, Any]:
    """Return the size and the columns of a source's raw table, as it is in the lake."""
    relation = ("raw", contract.source)
    return {
        "dagster/row_count": opened.value(f"select count(*) from {contract.table}"),
        "dagster/column_schema": _schema(_columns(opened)[relation], {}),
    }


# -- builds --------------------------------------------------------------------------------


@dataclass(frozen=True)
class BuildEvents:
    """Turns the results of a build into events."""

    project: Project
    translator: Translator
    report: BuildReport

    def all(self, opened: Lake) -> Iterator[Event]:
        """Yield an event for each node that was made and each data test that ran."""
        made = [result for result in self.report.results if self._is_made(result)]
        columns = _columns(opened)
        counts = self._row_counts(opened, made)
        snapshot = opened.value(
            f"select lake_snapshot from lake.meta.builds where build_id = {self.report.build_id}"
        )
        unit_tests = self._unit_tests()
        lineages = Lineages(self.project, self.translator, columns, self.report.compiled)
        for result in made:
            node = self.project.nodes[result.unique_id]
            relation = _relation(node)
            metadata = {
                "seconds": round(result.seconds, 2),
                "lake snapshot": snapshot,
                "build": self.report.build_id,
                "dagster/column_schema": _schema(columns.get(relation, {}), node["columns"]),
                **lineages.metadata(node),
            }
            if relation in counts:
                metadata["dagster/row_count"] = counts[relation]
            if result.unique_id in unit_tests:
                metadata["unit tests"] = unit_tests[result.unique_id]
            key = self.translator.get_asset_key(node)
            yield AssetMaterialization(asset_key=key, metadata=metadata)
        lineages.keep()
        for result in self.report.results:
            if result.kind == "test" and result.status != "skipped":
                yield self._check(result)

    def _is_made(self, result: NodeResult) -> bool:
        return result.kind in ("model", "seed", "snapshot") and result.status in _DONE

    def _check(self, result: NodeResult) -> AssetCheckEvaluation:
        test = self.project.nodes[result.unique_id]
        at = shown_at(test)
        assert at is not None, f"{result.unique_id} tests nothing"
        rows = {"failing rows": result.failures} if result.failures else {}
        is_warning = test["config"]["severity"].lower() == "warn" or result.status == "warn"
        return AssetCheckEvaluation(
            asset_key=self.translator.get_asset_key(self.project.nodes[at]),
            check_name=check_name(self.project.manifest, test),
            passed=result.status == "pass",
            severity=AssetCheckSeverity.WARN if is_warning else AssetCheckSeverity.ERROR,
            description=None if result.status == "pass" else result.told,
            metadata={
                **rows,
                "dbt test": result.name,
                "file": result.path.as_posix(),
                "seconds": round(result.seconds, 2),
                "build": str(self.report.build_id),
            },
        )

    def _unit_tests(self) -> dict[str, str]:
        """Return how the unit tests of each model came out, by the model's id."""
        found: dict[str, list[bool]] = {}
        for result in self.report.results:
            if result.kind == "unit_test":
                (model,) = self.project.nodes[result.unique_id]["depends_on"]["nodes"][:1]
                found.setdefault(model, []).append(result.is_green)
        return {model: f"{sum(each)} of {len(each)} passed" for model, each in found.items()}

    def _row_counts(self, opened: Lake, made: Sequence[NodeResult]) -> dict[Relation, int]:
        """Return the rows of what was made as a table; counting those of views may take long."""
        nodes = (self.project.nodes[result.unique_id] for result in made)
        relations = [
            _relation(node)
            for node in nodes
            if node["config"]["materialized"] not in ("view", "table_function", "ephemeral")
        ]
        if not relations:
            return {}
        counted = " union all ".join(
            f"select {number}, count(*) from lake.{identifier(schema)}.{identifier(table)}"
            for number, (schema, table) in enumerate(relations)
        )
        return {relations[number]: count for number, count in opened.rows(counted)}


def _relation(node: Mapping[str, Any]) -> Relation:
    return node["schema"], node.get("alias") or node["name"]


def _columns(opened: Lake) -> dict[Relation, dict[str, str]]:
    """Return the columns of all tables and views in the lake, with their types."""
    found: dict[Relation, dict[str, str]] = {}
    for schema, table, column, kind in opened.rows(
        "select schema_name, table_name, column_name, lower(data_type) from duckdb_columns() "
        "where database_name = 'lake' order by schema_name, table_name, column_index"
    ):
        found.setdefault((schema, table), {})[column] = kind
    return found


def _schema(types: Mapping[str, str], described: Mapping[str, Any]) -> TableSchema:
    return TableSchema(
        columns=[
            TableColumn(name, kind, description=(described.get(name) or {}).get("description"))
            for name, kind in types.items()
        ]
    )


class Lineages:
    """Column lineage of models, worked out once for each version of a model and kept in a file."""

    def __init__(
        self, project: Project, translator: Translator, columns: Columns, compiled: Path
    ) -> None:
        self._project = project
        self._translator = translator
        self._columns = columns
        self._compiled = compiled
        self._file = project.dagster_home / "lineage.json"
        self._known = _read(self._file)
        self._is_changed = False

    def metadata(self, node: Mapping[str, Any]) -> dict[str, Any]:
        """Return the lineage of a node's columns, as metadata of its materialization."""
        parents = {
            _relation(parent): self._translator.get_asset_key(parent)
            for parent in map(self._project.nodes.get, node["depends_on"].get("nodes", []))
            if parent is not None
        }
        origins = self._origins(node, parents) if parents else {}
        if not any(origins.values()):
            return {}
        deps = {
            column: [
                TableColumnDep(asset_key=parents[schema, table], column_name=name)
                for schema, table, name in each
            ]
            for column, each in origins.items()
        }
        return {"dagster/column_lineage": TableColumnLineage(deps)}

    def keep(self) -> None:
        """Write what was newly worked out."""
        if self._is_changed:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            temporary = self._file.with_suffix(".tmp")
            temporary.write_text(json.dumps(self._known))
            temporary.replace(self._file)

    def _origins(
        self, node: Mapping[str, Any], parents: Mapping[Relation, AssetKey]
    ) -> dict[str, list[list[str]]]:
        known = {relation: self._columns.get(relation, {}) for relation in parents}
        version = [node["checksum"]["checksum"], *sorted(map(str, known.items()))]
        entry = self._known.get(node["unique_id"])
        if entry is None or entry["version"] != version:
            sql = self._sql(node)
            found = column_origins(sql, known) if sql else {}
            origins = {
                column: sorted([*relation, name] for relation, name in each if relation in parents)
                for column, each in found.items()
            }
            entry = {"version": version, "origins": origins}
            self._known[node["unique_id"]] = entry
            self._is_changed = True
        kept: dict[str, list[list[str]]] = entry["origins"]
        return kept

    def _sql(self, node: Mapping[str, Any]) -> str | None:
        """Return the SQL as it ran; dbt keeps none of snapshots, whose columns have their names."""
        if node["resource_type"] == "snapshot":
            return "select * from " + ", ".join(
                self._project.nodes[parent]["relation_name"]
                for parent in node["depends_on"]["nodes"]
            )
        path = self._compiled / node["package_name"] / node["original_file_path"]
        return path.read_text(encoding="utf-8") if path.exists() else None


def _read(path: Path) -> dict[str, Any]:
    try:
        known: dict[str, Any] = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return known


# -- releases ------------------------------------------------------------------------------


def release_metadata(report: ReleaseReport, path: Path) -> dict[str, Any]:
    """Return what readers see now, and how it came about."""
    shown = report.release
    lines = ["| mart | rows | how | rows written |", "| --- | ---: | --- | ---: |"]
    lines += [f"| {m.name} | {m.rows:,} | {m.how} | {m.rows_written:,} |" for m in report.marts]
    return {
        "release": shown.release_id,
        "what happened": report.reason,
        "file": MetadataValue.path(str(path)),
        "size in MiB": round(shown.size_bytes / 2**20, 1),
        "marts": MetadataValue.md("\n".join(lines) if report.marts else "None was written."),
        "seconds": round(sum(report.seconds.values()), 2),
        "lake snapshot": shown.lake_snapshot,
        "build": shown.build_id,
    }


def open_to_read(project: Project) -> Any:
    """Open the lake to look at what is in it."""
    return lake.connect(project.settings, read_only=True)
