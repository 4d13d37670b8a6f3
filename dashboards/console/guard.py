"""Which SQL the console runs: one statement that only reads the release's tables.

Judged by DuckDB's own parser: its statement types, and the tree it makes of a query. This is the
first wall, which gives clear answers; the settings of the connection and the limits of the
process hold without it. It runs in that process too: a parser can be bombed as well.
"""

import json
from collections.abc import Iterator
from typing import Any

import duckdb

MOST_CHARACTERS = 100_000

TABLE_FUNCTIONS = frozenset(
    {
        *("range", "generate_series", "unnest", "json_each", "json_tree"),
        *("duckdb_columns", "duckdb_tables", "duckdb_functions", "duckdb_keywords"),
    }
)
# What tells of the machine, waits, writes, or runs text as SQL.
FORBIDDEN_FUNCTIONS = frozenset(
    {
        *("getenv", "current_setting", "getvariable", "pg_sleep", "sleep_ms", "write_log"),
        *("nextval", "currval", "set_config", "json_execute_serialized_sql"),
    }
)
SCHEMAS = frozenset({"", "marts", "meta", "information_schema"})
# Views that DuckDB makes itself and finds without a schema, which tell of files and settings.
_SYSTEM_PREFIXES = ("duckdb_", "pragma_", "pg_", "sqlite_")


class RefusedError(Exception):
    """The statement may not run; says why."""


def check(con: duckdb.DuckDBPyConnection, sql: str, macros: frozenset[str]) -> None:
    """Do nothing when the SQL may run on a release with these table macros.

    `con` parses it, and must not reach any file: `import database` opens one while it is parsed.

    Raises:
        RefusedError: it may not, or is no SQL.
    """
    try:
        statements = con.extract_statements(sql)
    except duckdb.Error as error:
        raise RefusedError(str(error)) from error
    if not statements:
        raise RefusedError("There is no statement. Write a query, such as: from marts.dim_players")
    if len(statements) > 1:
        raise RefusedError(
            f"There are {len(statements)} statements; the console runs one at a time. "
            "(A PIVOT without an IN list counts as two: list its values.)"
        )
    kind = statements[0].type.name
    if kind != "SELECT":
        raise RefusedError(f"{kind} is not allowed: the console only reads. Write a SELECT.")
    for node in _nodes(_tree(con, sql)):
        _check(node, macros)


def _tree(con: duckdb.DuckDBPyConnection, sql: str) -> Any:
    try:
        text = con.execute("select json_serialize_sql(?)", [sql]).fetchall()[0][0]
    except duckdb.Error as error:
        raise RefusedError(str(error)) from error
    tree = json.loads(text)
    if tree.get("error"):
        raise RefusedError(
            f"This is not allowed: the console only reads. Write a SELECT. "
            f"({tree.get('error_message')})"
        )
    return tree


def _nodes(tree: Any) -> Iterator[dict[str, Any]]:
    """Return every object of a tree; no recursion, as a query may be nested deeply."""
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            yield node
            waiting.extend(node.values())
        elif isinstance(node, list):
            waiting.extend(node)


def _check(node: dict[str, Any], macros: frozenset[str]) -> None:
    kind = node.get("type")
    if kind == "TABLE_FUNCTION":
        name = str(node["function"].get("function_name", "")).lower()
        if name not in TABLE_FUNCTIONS | macros:
            raise RefusedError(
                f"The table function {name} is not allowed. The console reads the release's own "
                "tables, and " + ", ".join(sorted(TABLE_FUNCTIONS | macros)) + "."
            )
    elif kind == "BASE_TABLE":
        _check_table(node)
    elif kind == "SHOW_REF" and str(node.get("table_name", "")).strip('"').lower() in _SHOWN:
        raise RefusedError("SHOW is not allowed here; the list of tables is on this page.")
    function = str(node.get("function_name", "")).lower()
    if function in FORBIDDEN_FUNCTIONS:
        raise RefusedError(f"The function {function} is not allowed in the console.")


_SHOWN = frozenset({"databases", "variables", "secrets"})


def _check_table(node: dict[str, Any]) -> None:
    catalog = str(node.get("catalog_name", "")).lower()
    schema = str(node.get("schema_name", "")).lower()
    table = str(node.get("table_name", "")).lower()
    if any(character in table for character in "/.*:\\") or schema == "file":
        raise RefusedError(
            f"{table} looks like a file. Files are not allowed: the console reads the release's "
            "own tables alone."
        )
    is_system = not schema and table.startswith(_SYSTEM_PREFIXES)
    if catalog in ("system", "temp") or schema not in SCHEMAS or is_system:
        full = ".".join(part for part in (catalog, schema, table) if part)
        raise RefusedError(
            f"{full} is not one of the release's tables. There are the schemas marts and meta."
        )
