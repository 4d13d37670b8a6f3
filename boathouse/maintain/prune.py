"""Rows of Boathouse's own tables that nobody will ask for again.

`changes.<model>` notes which keys of a model changed, for the models that follow it; once all
of them have followed, the note is of no use. `meta.build_results` has a row for every node of
every build. The ledger (`meta.loads`), rejected rows and replaced rows are data, and stay.
"""

from dataclasses import dataclass

import duckdb

from boathouse.build.nodes import TEST_KINDS, Node, remembered
from boathouse.lake import Lake
from boathouse.release.about import BUILDS_SHOWN
from boathouse.settings import Settings
from boathouse.sql import identifier, literal


@dataclass(frozen=True)
class Prunable:
    """Rows of a table that are of no use any more."""

    table: str  # schema.table
    condition: str
    rows: int
    model: str = ""  # whose changes they are
    before: int = 0  # they were noted before this snapshot


def prunable(lake: Lake, settings: Settings) -> list[Prunable]:
    """Return what can be deleted; tables without such rows are left out."""
    found = [_changes(lake, model, before) for model, before in _followed(lake)]
    return [each for each in [*found, _build_results(lake, settings)] if each.rows]


def _followed(lake: Lake) -> list[tuple[str, int]]:
    """Return each table of noted changes, and the snapshot up to which all have followed."""
    # A test's place is what it tests, which it neither makes nor follows.
    nodes = {node.unique_id: node for node in remembered(lake) if node.kind not in TEST_KINDS}
    by_relation = {node.place.replace('"', "").lower(): node for node in nodes.values()}
    progress = dict(lake.rows("select model, lake_snapshot from lake.meta.model_state"))
    noting = lake.rows(
        "select table_name from duckdb_tables() "
        "where database_name = 'lake' and schema_name = 'changes' order by table_name"
    )
    found = []
    for (table,) in noting:
        relation = f"lake.{table}"
        if relation in progress:
            readers = _readers(by_relation.get(relation), nodes)
            reached = [progress[name] for name in readers if name in progress]
            found.append((table, min(reached, default=progress[relation])))
    return found


def _readers(node: Node | None, nodes: dict[str, Node]) -> set[str]:
    """Return the relations of models that read a model, maybe by way of views."""
    waiting, seen = [node.unique_id] if node else [], set()
    found = set()
    while waiting:
        parent = waiting.pop()
        for child in nodes.values():
            if parent in child.depends_on and child.unique_id not in seen:
                seen.add(child.unique_id)
                if child.materialized in ("view", "ephemeral"):
                    waiting.append(child.unique_id)
                else:
                    found.add(child.place.replace('"', "").lower())
    return found


def _changes(lake: Lake, model: str, before: int) -> Prunable:
    condition = f"_lake_snapshot < {before}"
    rows = _count(lake, f"changes.{identifier(model)}", condition)
    return Prunable(f"changes.{model}", condition, rows, model, before)


def _build_results(lake: Lake, settings: Settings) -> Prunable:
    # Latest results up to the last release are in latest_results; a release shows BUILDS_SHOWN.
    condition = f"""
        build_id <= (select coalesce(max(build_id), 0) from lake.meta.latest_results)
        and build_id <= (select coalesce(max(build_id), 0) - {BUILDS_SHOWN} from lake.meta.builds)
        and build_id in (
            select build_id
            from lake.meta.builds
            where started_at < now()::timestamp - to_hours({round(settings.keep_logs_days * 24)})
        )
    """
    return Prunable("meta.build_results", condition, _count(lake, "meta.build_results", condition))


def _count(lake: Lake, table: str, condition: str) -> int:
    return int(lake.value(f"select count(*) from lake.{table} where {condition}"))


def prune(lake: Lake, found: list[Prunable]) -> None:
    """Delete these rows, in one transaction.

    A model that comes back into the project may have followed less far than what is deleted. It
    compares what it reads with how that was, because the notes then begin after it.
    """

    def delete(con: duckdb.DuckDBPyConnection) -> None:
        for each in found:
            schema, _, table = each.table.partition(".")
            con.execute(f"delete from lake.{schema}.{identifier(table)} where {each.condition}")
            if each.model:
                con.execute(
                    "update lake.meta.model_state "
                    f"set tracks_snapshot = greatest(tracks_snapshot, {each.before}) "
                    f"where model = {literal(f'lake.{each.model}')}"
                )

    if found:
        lake.write(delete, "delete notes that nobody needs any more")
