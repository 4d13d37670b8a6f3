"""The tables that Boathouse itself keeps in the lake: raw tables and the `meta` schema.

Creates what is missing and widens what a contract has outgrown; never drops anything.
"""

import re

import duckdb

from boathouse.contracts import Contract
from boathouse.errors import ContractError
from boathouse.lake import SCHEMAS, Lake
from boathouse.sql import identifier, literal

_BUILD_RESULTS = {
    "build_id": "bigint",
    "unique_id": "varchar",
    "name": "varchar",
    "kind": "varchar",
    "status": "varchar",
    "seconds": "double",
    "rows": "bigint",
    "message": "varchar",
    # Of the code that ran, and the relation it made or tested: see boathouse/build/nodes.py.
    "fingerprint": "varchar",
    "place": "varchar",
}
META_TABLES: dict[str, dict[str, str]] = {
    "loads": {
        "load_id": "bigint",
        "source": "varchar",
        "file_name": "varchar",
        "file_sha256": "varchar",
        "file_bytes": "bigint",
        "rows_read": "bigint",
        "rows_loaded": "bigint",
        "rows_rejected": "bigint",
        "status": "varchar",
        "reason": "varchar",
        "loaded_at": "timestamp",
    },
    "rejected_rows": {
        "load_id": "bigint",
        "source": "varchar",
        "file_name": "varchar",
        "row_number": "bigint",
        "reasons": "varchar[]",
        "raw_row": "varchar",
        "rejected_at": "timestamp",
        "replayed_at": "timestamp",
    },
    "builds": {
        "build_id": "bigint",
        "command": "varchar",
        "selection": "varchar",
        "status": "varchar",
        "started_at": "timestamp",
        "finished_at": "timestamp",
        "lake_snapshot": "bigint",
        # What was going to run; kept only while it runs, so that it stays when the build is killed.
        "selected": "varchar[]",
        "load_id": "bigint",  # the newest load when it began
    },
    "build_results": _BUILD_RESULTS,
    "releases": {
        "release_id": "bigint",
        "lake_snapshot": "bigint",
        "build_id": "bigint",
        "released_at": "timestamp",
        "is_current": "boolean",
    },
    "source_freshness": {
        "source": "varchar",
        "last_loaded_at": "timestamp",
        "last_event_at": "timestamp",
        "rows": "bigint",
        "rejected_rows": "bigint",
        "load_id": "bigint",  # the newest load that is counted
    },
    # The dbt project at the last build: see boathouse/build/nodes.py.
    "nodes": {
        "unique_id": "varchar",
        "name": "varchar",
        "kind": "varchar",
        "path": "varchar",
        "depends_on": "varchar[]",
        "schema_name": "varchar",
        "relation": "varchar",
        "materialized": "varchar",
        "description": "varchar",
        "column_descriptions": "varchar",
        "key": "varchar[]",
        "release_order": "varchar[]",
        "unique_columns": "varchar[]",
        "lookups": "varchar",
        "api": "varchar",
        "may_shrink": "varchar",
        "fingerprint": "varchar",
        "place": "varchar",
    },
    # The files that these nodes were parsed from, as a hash; no row when that is not known.
    "project": {"files": "varchar"},
    # Each node's latest result when the last release was made, so that later builds alone tell
    # what has changed since: see boathouse/build/blockers.py.
    "latest_results": _BUILD_RESULTS,
    # What `latest_results` was called. All code from before formats were counted asks for this
    # table before it writes, and no type of a number can be made of this one: it is told to stop.
    "node_results": {"build_id": 'struct("written by a newer boathouse: use that one" boolean)'},
    # How far each incremental model has followed what was loaded: see boathouse/build/following.py.
    "model_state": {
        "model": "varchar",  # its relation, as dbt writes the name
        "load_id": "bigint",
        "lake_snapshot": "bigint",
        "rebuilt_snapshot": "bigint",
        "fingerprint": "varchar",  # of the code that all of its rows were made by
        "stale_reason": "varchar",  # why its rows are not to be trusted, when that was found out
        "tracks_snapshot": "bigint",  # since when its changes are noted as they are now
    },
    # What was compared with a full refresh: see boathouse/audit.py.
    "audits": {
        "model": "varchar",
        "load_id": "bigint",
        "lake_snapshot": "bigint",
        "keys": "bigint",
        "differences": "bigint",
        "skipped": "varchar",  # why it was not compared
        "audited_at": "timestamp",
    },
}
REPLACED_BY = "_replaced_by"
# Their tables are made anew again and again. With inlining each new one would have a table of its
# own in the catalogue, for as long as it can be asked as of then, and SQLite reads the names of
# all of them for every statement: after ten builds one took three times as long.
_NOT_INLINED = ("seeds", "staging", "intermediate", "marts", "snapshots")


_WHOLE = ("smallint", "integer", "bigint")
_NOT_EXACT = "not exact"


def ensure(lake: Lake, contracts: dict[str, Contract]) -> None:
    """Make every schema, table, column and option that is missing.

    Raises:
        ContractError: a contract gives a column a type that cannot hold what its raw table has.
    """
    _execute(lake, missing(lake, contracts), "make tables from contracts")
    # In a transaction of its own: a schema that was just made cannot have options yet.
    options = [
        f"call lake.set_option('data_inlining_row_limit', 0, schema => {literal(schema)})"
        for schema in sorted(set(_NOT_INLINED) - _not_inlined(lake))
    ]
    _execute(lake, options, "keep rows of rebuilt tables in files")


def _execute(lake: Lake, statements: list[str], message: str) -> None:
    def run(con: duckdb.DuckDBPyConnection) -> None:
        for statement in statements:
            con.execute(statement)

    if statements:
        try:
            lake.write(run, message)
        except duckdb.InvalidInputException as error:
            if _NOT_EXACT not in str(error):
                raise
            raise ContractError(
                str(error).removeprefix("Invalid Input Error: ").partition("\n")[0],
                hint="Let it become a decimal with more digits, or varchar.",
            ) from error


def missing(lake: Lake, contracts: dict[str, Contract]) -> list[str]:
    """Return the statements that would make what is missing; none on a complete lake."""
    existing = existing_columns(lake)
    schemas = _schemas(lake)
    statements = [
        f"create schema if not exists lake.{schema}" for schema in SCHEMAS if schema not in schemas
    ]
    for table, columns in META_TABLES.items():
        statements += _table_statements("meta", table, columns, existing)
    for contract in contracts.values():
        columns = contract.table_columns()
        statements += _table_statements("raw", contract.source, columns, existing, contract)
        statements += _table_statements(
            "replaced", contract.source, {**columns, REPLACED_BY: "bigint"}, existing, contract
        )
    return statements


def has_meta(lake: Lake) -> bool:
    """Return whether the lake has its `meta` tables, which the first load or build makes."""
    query = (
        "select count(*) from duckdb_tables() where database_name = 'lake' and schema_name = 'meta'"
    )
    return bool(lake.value(query))


def raw_columns(lake: Lake, contract: Contract) -> dict[str, str]:
    """Return the columns of a raw table as it is in the lake, with their types in lower case."""
    return existing_columns(lake)["raw", contract.source]


def _schemas(lake: Lake) -> set[str]:
    query = "select schema_name from duckdb_schemas() where database_name = 'lake'"
    return {name for (name,) in lake.rows(query)}


def _not_inlined(lake: Lake) -> set[str]:
    """Return the schemas whose tables have all of their rows in files."""
    query = """
        select schemas.schema_name
        from __ducklake_metadata_lake.ducklake_metadata as options
        inner join __ducklake_metadata_lake.ducklake_schema as schemas
            on options.scope_id = schemas.schema_id and schemas.end_snapshot is null
        where options.key = 'data_inlining_row_limit' and options.scope = 'schema'
    """
    return {name for (name,) in lake.rows(query)}


def existing_columns(lake: Lake) -> dict[tuple[str, str], dict[str, str]]:
    """Return the columns of each of our own and of the raw tables, by its schema and name.

    Their types are in lower case.
    """
    tables: dict[tuple[str, str], dict[str, str]] = {}
    query = """
        select schema_name, table_name, column_name, lower(data_type)
        from duckdb_columns()
        where database_name = 'lake' and schema_name in ('raw', 'replaced', 'meta')
        order by schema_name, table_name, column_index
    """
    for schema, table, column, data_type in lake.rows(query):
        tables.setdefault((schema, table), {})[column] = data_type
    return tables


def _table_statements(
    schema: str,
    table: str,
    columns: dict[str, str],
    existing: dict[tuple[str, str], dict[str, str]],
    contract: Contract | None = None,
) -> list[str]:
    name = f"lake.{schema}.{identifier(table)}"
    found = existing.get((schema, table))
    if found is None:
        listed = ", ".join(f"{identifier(column)} {kind}" for column, kind in columns.items())
        # Of the row nothing is left but the table's statistics. To read a table that has none takes
        # DuckLake five times as long: it looks for them again by every column.
        row = [f"insert into {name} default values", f"delete from {name}"]
        return [f"create table {name} ({listed})", *row]
    statements, wider = [], {}
    for column, kind in columns.items():
        if column not in found:
            statements.append(f"alter table {name} add column {identifier(column)} {kind}")
        elif found[column] != _spelled(kind):
            if not _is_wider(kind, found[column]):
                raise ContractError(
                    f"{contract.path if contract else schema}: table {table}: column {column} is "
                    f"{kind} in the contract but {found[column]} in the lake, and may hold values "
                    "that are none.",
                    hint="Give the column its old type, or a new name for the new type; a type may "
                    "only become wider: integer, bigint, decimal, double, varchar.",
                )
            wider[column] = kind
    return statements + _widened(name, wider, found)


def _widened(name: str, wider: dict[str, str], found: dict[str, str]) -> list[str]:
    """Return statements that give columns of a table wider types, or fail for a value."""
    statements = []
    for column, kind in wider.items():
        value, old = identifier(column), found[column]
        if old in _WHOLE or old.startswith("decimal"):
            message = f"{name}: {column} has values that are {_NOT_EXACT} as {kind}"
            statements.append(
                f"select error({literal(message)}) from {name} "
                f"where try_cast(try_cast({value} as {kind}) as {old}) is distinct from {value}"
            )
    if wider:
        casts = ", ".join(
            f"{identifier(column)}::{kind} as {identifier(column)}"
            for column, kind in wider.items()
        )
        statements.append(
            f"create or replace table {name} as select * replace ({casts}) from {name}"
        )
    return statements


def _is_wider(wide: str, narrow: str) -> bool:
    """Return whether a type has room for the values of another one, or for most of them."""
    if wide == "varchar":
        return True
    if narrow in _WHOLE:
        is_more = wide in _WHOLE and _WHOLE.index(wide) > _WHOLE.index(narrow)
        return is_more or wide == "double" or wide.startswith("decimal")
    if narrow.startswith("decimal"):
        (width, scale), (before, places) = _digits(wide), _digits(narrow)
        return wide == "double" or (scale >= places and width - scale >= before - places)
    return (wide, narrow) == ("timestamp", "date")


def _digits(kind: str) -> tuple[int, int]:
    """Return how many digits a decimal has, and how many of them after the point."""
    found = re.fullmatch(r"decimal\((\d+), ?(\d+)\)", kind)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def _spelled(data_type: str) -> str:
    """Return a type as DuckDB spells it: `decimal(18, 2)` → `decimal(18,2)`."""
    return data_type.replace(", ", ",")
