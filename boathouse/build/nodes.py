"""The nodes of the dbt project, as they were at the last build: the table `meta.nodes`.

dbt's own record of them, `manifest.json`, may lie in any folder, be cleaned away, or be on
another machine. The lake keeps what a release needs of it: which models and tests there are,
what they depend on, and how a mart is described and ordered. The dbt plugin brings it up to date
before the first statement of every build, whoever started it.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Any

import duckdb
import yaml

from boathouse.build.declarations import as_list, check_declarations
from boathouse.build.fingerprint import Fingerprints
from boathouse.errors import BuildError
from boathouse.lake import Lake
from boathouse.sql import row

TEST_KINDS = ("test", "unit_test")
_KINDS = ("model", "seed", "snapshot", *TEST_KINDS)
_HINT = "Run `boathouse build`, or a dbt command without --no-write-json."


@dataclass(frozen=True)
class Node:
    """A model, seed, snapshot, data test or unit test that is not disabled."""

    unique_id: str
    name: str
    kind: str
    path: str  # of the file to look at, in the project
    depends_on: list[str]
    schema_name: str
    relation: str  # name of the table it makes
    materialized: str
    description: str
    column_descriptions: str  # a JSON object: column → description
    key: list[str]  # columns that together are unique; empty when nobody says so
    release_order: list[str]  # columns that a released table is sorted by
    unique_columns: list[str]  # by which a test finds each row to be another; empty without one
    lookups: str  # a JSON object: what the release keeps to be looked up quickly
    api: str  # a JSON object: what the API offers of it; empty when it is not public
    may_shrink: str  # as JSON: true, or the share of its rows that a mart may lose; empty: as usual
    fingerprint: str  # of all that decides its rows or its verdict
    place: str  # the relation it makes, or those that it tests, as dbt writes their names

    @property
    def leaves_result(self) -> bool:
        """Return whether dbt reports on this node; ephemeral models only live inside others."""
        return self.materialized != "ephemeral"

    @property
    def columns(self) -> dict[str, str]:
        """Return the descriptions of the columns that have one."""
        described: dict[str, str] = json.loads(self.column_descriptions)
        return described


def from_manifest(path: Path, variables: str = "") -> list[Node]:
    """Return the nodes in a `manifest.json`, sorted by id.

    Args:
        path: Where dbt has written it.
        variables: The project's variables as text: see `variables_of`.

    Raises:
        BuildError: the file is missing or is no manifest, or a model says of itself what
            cannot be.
    """
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        entries = [*manifest["nodes"].values(), *manifest["unit_tests"].values()]
        known = {**manifest["sources"], **manifest["nodes"]}
        fingerprints = Fingerprints(manifest, variables)
    except (OSError, ValueError, KeyError) as error:
        raise BuildError(f"{path} is no manifest that dbt wrote: {error!r}", hint=_HINT) from error
    check_declarations(manifest)
    keys = _tested_keys(entries)
    nodes = [
        _node(entry, keys, fingerprints.of(entry["unique_id"]), _place(entry, known))
        for entry in entries
        if entry["resource_type"] in _KINDS
    ]
    return sorted(nodes, key=lambda node: node.unique_id)


def variables_of(project: Path, given: Mapping[str, Any] | None = None) -> str:
    """Return the variables of a dbt project as text, with those given to a command."""
    try:
        said = yaml.safe_load((project / "dbt_project.yml").read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError):
        said = None  # dbt says it better
    of_project = said.get("vars") if isinstance(said, dict) else None
    return _as_json([of_project or {}, given or {}])


def _place(entry: Mapping[str, Any], known: Mapping[str, Mapping[str, Any]]) -> str:
    if entry["resource_type"] in ("model", "seed", "snapshot"):
        return entry.get("relation_name") or ""
    if entry["resource_type"] == "unit_test":
        return ""
    parents = (entry.get("depends_on") or {}).get("nodes") or []
    names = {known[each].get("relation_name") or each for each in parents if each in known}
    return " ".join(sorted(names))


def of_command(flags: Any) -> list[Node]:
    """Return the nodes that the dbt command with these flags has parsed.

    Raises:
        BuildError: it was told to write no manifest, so that an old one may lie there.
    """
    if _vouched_for is not None:
        return _vouched_for
    if not flags.WRITE_JSON:
        raise BuildError(
            "dbt was told not to write its manifest, so nobody can tell which tests must have "
            "passed before a release.",
            hint="Run it without --no-write-json (and without DBT_WRITE_JSON=false).",
        )
    project = Path(flags.PROJECT_DIR or ".").absolute()
    return from_manifest(
        project / (flags.TARGET_PATH or "target") / "manifest.json",
        variables_of(project, getattr(flags, "VARS", None)),
    )


def files_of_command() -> str:
    """Return the hash of the files behind these nodes, taken before; empty when it was not."""
    return _vouched_files


def is_for_release(flags: Any, config: Any) -> bool:
    """Return whether a dbt command builds what is released, and not a place of somebody's own.

    That is what Boathouse itself starts, and what is typed by hand without another `--target`
    than the profile's own.
    """
    if _vouched_for is not None or not flags.TARGET:
        return True
    path = Path(flags.PROFILES_DIR or ".") / "profiles.yml"
    try:
        profile = yaml.safe_load(path.read_text(encoding="utf-8"))[config.profile_name]
    except (OSError, yaml.YAMLError, KeyError, TypeError):
        return True  # there is but one
    return bool(profile.get("target", "default") == flags.TARGET)


_vouched_for: list[Node] | None = None
_vouched_files = ""


@contextmanager
def vouching_for(nodes: list[Node], files: str = "") -> Iterator[None]:
    """Say for a `with` block which nodes dbt knows, when it starts from a manifest in memory.

    `files` is the hash of the project's files that they were parsed from.
    """
    global _vouched_for, _vouched_files
    before = _vouched_for, _vouched_files
    _vouched_for, _vouched_files = nodes, files
    try:
        yield
    finally:
        _vouched_for, _vouched_files = before


def _node(
    entry: Mapping[str, Any], tested_keys: Mapping[str, list[str]], fingerprint: str, place: str
) -> Node:
    config = entry.get("config") or {}
    meta = config.get("meta") or {}
    columns = entry.get("columns") or {}
    described = {name: each["description"] for name, each in columns.items() if each["description"]}
    key = as_list(config.get("unique_key")) or as_list(entry.get("primary_key"))
    return Node(
        unique_id=entry["unique_id"],
        name=entry["name"],
        kind=entry["resource_type"],
        path=entry["original_file_path"],
        depends_on=sorted((entry.get("depends_on") or {}).get("nodes") or []),
        schema_name=entry.get("schema") or "",
        relation=entry.get("alias") or entry["name"],
        materialized=config.get("materialized") or "",
        description=(entry.get("description") or "").strip(),
        column_descriptions=json.dumps(described, ensure_ascii=False, sort_keys=True),
        key=key or tested_keys.get(entry["unique_id"], []),
        release_order=as_list(meta.get("release_order")),
        unique_columns=tested_keys.get(entry["unique_id"], []),
        lookups=_as_json(meta.get("lookups")),
        api=_as_json(meta.get("api")),
        may_shrink=_as_json(meta.get("may_shrink")),
        fingerprint=fingerprint,
        place=place,
    )


def _tested_keys(entries: list[Mapping[str, Any]]) -> dict[str, list[str]]:
    """Return for each model the columns that a test of its own finds unique."""
    keys: dict[str, list[str]] = {}
    for entry in entries:
        test = entry.get("test_metadata") or {}
        if test.get("name") == "unique_combination":
            columns = as_list((test.get("kwargs") or {}).get("columns"))
        elif test.get("name") in ("unique", "unique_among_new"):
            columns = as_list(entry.get("column_name"))
        else:
            continue
        if entry.get("attached_node") and not (entry.get("config") or {}).get("where"):
            keys.setdefault(entry["attached_node"], columns)
    return keys


def _as_json(value: Any) -> str:
    return (
        "" if value is None else json.dumps(value, ensure_ascii=False, sort_keys=True, default=str)
    )


def remembered(lake: Lake) -> list[Node]:
    """Return the nodes of the project as it was at the last build, sorted by id."""
    found = lake.con.execute("from lake.meta.nodes order by unique_id")
    there = [column[0] for column in found.description or ()]
    # A lake that an earlier version has written lacks what came later, until the next build.
    lacking: dict[str, Any] = {f.name: "" for f in fields(Node) if f.name not in there}
    return [Node(**lacking, **dict(zip(there, values, strict=True))) for values in found.fetchall()]


def remember(lake: Lake, nodes: list[Node], files: str = "") -> None:
    """Make `nodes` the remembered ones; writes only when something changed.

    Args:
        lake: The lake.
        nodes: All nodes of the project.
        files: The hash of the project's files that they were parsed from, when it was taken
            before they were: while it stays the same, nobody has to parse them again.
    """
    is_same = remembered(lake) == nodes
    if is_same and (not files or remembered_files(lake) == files):
        return

    def replace(con: duckdb.DuckDBPyConnection) -> None:
        con.execute("delete from lake.meta.project")
        if files:
            con.execute(f"insert into lake.meta.project values {row((files,))}")
        if is_same:
            return
        con.execute("delete from lake.meta.nodes")
        if nodes:
            rows = ", ".join(row(astuple(node)) for node in nodes)
            names = ", ".join(field.name for field in fields(Node))
            con.execute(f"insert into lake.meta.nodes ({names}) values {rows}")

    lake.write(replace, "note the nodes of the dbt project")


def remembered_files(lake: Lake) -> str:
    """Return the hash of the files that the remembered nodes were parsed from; empty if unsure."""
    found = lake.rows("select files from lake.meta.project")
    return str(found[0][0]) if found else ""
