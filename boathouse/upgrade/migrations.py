"""What has to be done to a lake of one format to make it one of the next.

Each step is one transaction or several that may be done again: it looks at what is there, not at
what should be. A lake without Boathouse's tables has nothing to migrate; `catalog` makes them.
"""

from collections.abc import Callable, Mapping

import duckdb

from boathouse import catalog
from boathouse.catalog import META_TABLES
from boathouse.lake import Lake
from boathouse.sql import identifier

Step = Callable[[Lake], None]


def rename_results(lake: Lake) -> None:
    """Give `meta.node_results` the name by which older code does not know it."""
    tables = catalog.existing_columns(lake)
    is_old = "status" in tables.get(("meta", "node_results"), {})
    if is_old and ("meta", "latest_results") not in tables:
        _write(lake, "alter table lake.meta.node_results rename to latest_results")


def complete_tables(lake: Lake) -> None:
    """Add what came to Boathouse's own tables, and let rows say what says nothing of it.

    The nodes are read anew from the project by the next build.
    """
    if not catalog.has_meta(lake):
        return
    catalog.ensure(lake, {})
    empty = {"varchar": "''", "varchar[]": "[]"}
    values = ", ".join(
        f"{identifier(column)} = coalesce({identifier(column)}, {empty[kind]})"
        for column, kind in META_TABLES["nodes"].items()
    )
    _write(lake, f"update lake.meta.nodes set {values}", "delete from lake.meta.project")


def follow_relations(lake: Lake) -> None:
    """Let incremental models be known by their relations, as `lake.marts.fct_sessions`.

    They were by name alone, which two schemas may have. The code that made their rows is not
    noted, so that the next build makes them anew; what they have noted for others is of no use.
    """
    if not catalog.has_meta(lake):
        return
    logs = lake.rows(
        "select table_name from duckdb_tables() where database_name = 'lake' "
        "and schema_name = 'changes' and not contains(table_name, '.')"
    )
    _write(
        lake,
        """
        update lake.meta.model_state as state
        set model = nodes.name
        from (
            select relation, lower(min('lake.' || schema_name || '.' || relation)) as name
            from lake.meta.nodes
            where materialized = 'incremental'
            group by relation
            having count(*) = 1
        ) as nodes
        where state.model = nodes.relation
        """,
        "delete from lake.meta.model_state where not contains(model, '.')",
        *(f"drop table lake.changes.{identifier(name)}" for (name,) in logs),
    )


# By the format that they lead to, in order. Format 1 gave each lake an identity, which `identity`
# sees to; lakes of that format may hold anything that those before it held.
MIGRATIONS: Mapping[int, tuple[Step, ...]] = {
    1: (),
    2: (rename_results, complete_tables, follow_relations),
}


def _write(lake: Lake, *statements: str) -> None:
    def run(con: duckdb.DuckDBPyConnection) -> None:
        for statement in statements:
            con.execute(statement)

    lake.write(run, "upgrade")
