"""How dbt's nodes are named and described in Dagster."""

from collections.abc import Mapping
from datetime import timedelta
from pathlib import PurePosixPath
from typing import Any

from dagster import AssetCheckSpec, AssetKey, AssetSpec
from dagster_dbt import DagsterDbtTranslator, DagsterDbtTranslatorSettings, DbtProject

UNIQUE_ID = "dagster_dbt/unique_id"
_PERIODS = {"minute": timedelta(minutes=1), "hour": timedelta(hours=1), "day": timedelta(days=1)}


class Translator(DagsterDbtTranslator):
    """Groups by domain, tells the materialization, and makes every data test a check."""

    def __init__(self) -> None:
        super().__init__(DagsterDbtTranslatorSettings(enable_source_tests_as_checks=True))

    def get_group_name(self, dbt_resource_props: Mapping[str, Any]) -> str:
        """Return the node's domain."""
        return domain_of(dbt_resource_props)

    def get_description(self, dbt_resource_props: Mapping[str, Any]) -> str:
        """Return what dbt's documentation says, without the SQL."""
        return str(dbt_resource_props.get("description") or "").strip()

    def get_owners(self, dbt_resource_props: Mapping[str, Any]) -> list[str]:
        """Return who answers for the node: `config.meta.owner` in dbt."""
        owner = (dbt_resource_props["config"].get("meta") or {}).get("owner")
        return [owner] if owner else []

    def get_asset_spec(
        self, manifest: Mapping[str, Any], unique_id: str, project: DbtProject | None
    ) -> AssetSpec:
        """Return the node's spec; its second kind is how dbt makes it."""
        spec = super().get_asset_spec(manifest, unique_id, project)
        node = self.get_resource_props(manifest, unique_id)
        materialized = node["config"].get("materialized") or node["resource_type"]
        return spec.replace_attributes(kinds={"dbt", materialized})

    def get_asset_check_spec(
        self,
        asset_spec: AssetSpec,
        manifest: Mapping[str, Any],
        unique_id: str,
        project: DbtProject | None,
    ) -> AssetCheckSpec | None:
        """Return a data test as a check on the asset it is shown at, None for other assets."""
        del project
        test = manifest["nodes"][unique_id]
        if asset_spec.metadata[UNIQUE_ID] != shown_at(test):
            return None
        return AssetCheckSpec(
            name=check_name(manifest, test),
            asset=asset_spec.key,
            description=check_description(test),
            metadata={UNIQUE_ID: unique_id},
            blocking=test["config"]["severity"].lower() == "error",
        )


def domain_of(node: Mapping[str, Any]) -> str:
    """Return the domain of a dbt node, by the place of its file.

    That is the folder below the layer's, or for snapshots the name after `snap_`.
    """
    path = PurePosixPath(node["original_file_path"])
    if node["resource_type"] == "snapshot":
        return path.stem.removeprefix("snap_")
    return path.parent.name


def shown_at(test: Mapping[str, Any]) -> str | None:
    """Return the id of the node at which a data test is shown.

    That is the node whose YAML has it, else the last mart that its SQL names, else the last node.
    """
    if test.get("attached_node"):
        return str(test["attached_node"])
    nodes = [each for each in test["depends_on"]["nodes"] if not each.startswith("source.")]
    if not nodes:
        sources = [each for each in test["depends_on"]["nodes"] if ".meta." not in each]
        return sources[0] if sources else None
    marts = [each for each in nodes if each.rpartition(".")[2].startswith(("fct_", "dim_", "rpt_"))]
    return str((marts or nodes)[-1])


def check_name(manifest: Mapping[str, Any], test: Mapping[str, Any]) -> str:
    """Return `<test>_<column>` where that is unique at its node, else dbt's own name."""
    short = _short_name(test)
    at = shown_at(test)
    siblings = (
        manifest["nodes"][child]
        for child in manifest["child_map"].get(at, [])
        if child.startswith("test.") and child != test["unique_id"]
    )
    if any(shown_at(each) == at and _short_name(each) == short for each in siblings):
        return str(test["name"])
    return short


def _short_name(test: Mapping[str, Any]) -> str:
    kind = (test.get("test_metadata") or {}).get("name")
    if kind is None or _has_own_name(test, kind):
        return str(test["name"])
    column = (test.get("column_name") or "").strip('"')
    return f"{kind}_{column}" if column else str(kind)


def _has_own_name(test: Mapping[str, Any], kind: str) -> bool:
    """Return whether somebody named the test in the YAML; dbt's names begin with the kind."""
    return not test["name"].startswith((kind, f"source_{kind}"))


def check_description(test: Mapping[str, Any]) -> str:
    """Return what a person sees beside a check: its description, else what it asks for."""
    if test.get("description"):
        return str(test["description"]).strip()
    about = test.get("test_metadata") or {}
    if not about:
        return _header(test.get("raw_code") or "") or f"Data test {test['name']}."
    arguments = about.get("kwargs") or {}
    shown = {
        name: value for name, value in arguments.items() if name not in ("model", "column_name")
    }
    listed = ", ".join(f"{name}: {value}" for name, value in shown.items())
    column = f"`{test['column_name']}`: " if test.get("column_name") else ""
    return f"{column}{about['name']}{f' ({listed})' if listed else ''}. dbt test `{test['name']}`."


def _header(sql: str) -> str:
    """Return the comment at the head of a data test, which says why its claim matters."""
    lines = []
    for line in sql.strip().splitlines():
        if not line.startswith("--"):
            break
        lines.append(line.removeprefix("--").strip())
    return " ".join(lines)


def age_limit(source: Mapping[str, Any], level: str) -> timedelta | None:
    """Return how old a source's last load may be by `warn_after` or `error_after` of dbt."""
    limit = (source["config"].get("freshness") or {}).get(level) or {}
    if not limit.get("count"):
        return None
    return int(limit["count"]) * _PERIODS[limit["period"]]


def asset_key(translator: Translator, node: Mapping[str, Any]) -> AssetKey:
    """Return the key of a dbt node's asset."""
    return translator.get_asset_key(node)
