"""Which columns a model's columns come from, read from the SQL that ran."""

from collections.abc import Mapping
from typing import Any

import sqlglot
from sqlglot import exp
from sqlglot.lineage import Node, lineage
from sqlglot.optimizer.qualify import qualify
from sqlglot.optimizer.scope import build_scope
from sqlglot.schema import MappingSchema

DIALECT = "duckdb"
Relation = tuple[str, str]  # schema and table
Columns = Mapping[Relation, Mapping[str, str]]  # relation → column → type


def column_origins(sql: str, columns: Columns) -> dict[str, set[tuple[Relation, str]]]:
    """Return for each column of a query the columns of relations that it is made of.

    Empty when the query is beyond the parser; lineage is for people, and nothing depends on it.
    """
    schema: dict[str, Any] = {"lake": {}}
    for (schema_name, table), types in columns.items():
        schema["lake"].setdefault(schema_name, {})[table] = dict(types)
    mapping = MappingSchema(schema, dialect=DIALECT)
    try:
        query = qualify(
            sqlglot.parse_one(sql, dialect=DIALECT),
            schema=mapping,
            dialect=DIALECT,
            validate_qualify_columns=False,
        )
        scope = build_scope(query)
        if scope is None or not isinstance(query, exp.Query):
            return {}
        return {
            name.lower(): _leaves(lineage(name, query, mapping, scope=scope, dialect=DIALECT))
            for name in query.named_selects
        }
    except Exception:  # also what the parser did not mean to raise: a run must not fail for this
        return {}


def _leaves(node: Node) -> set[tuple[Relation, str]]:
    found = set()
    for each in node.walk():
        # All columns of a table that is not in the schema, such as a list of changes.
        is_known = not each.downstream and not each.name.endswith("*")
        table = each.expression.find(exp.Table) if is_known else None
        if table is not None and table.catalog == "lake":
            found.add(((table.db, table.name), exp.to_column(each.name).name.lower()))
    return found
