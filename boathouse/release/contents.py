"""What the lake has to release at one snapshot: marts, macros, and what is copied of `meta`."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import duckdb

from boathouse.build.nodes import Node, remembered
from boathouse.errors import ReleaseError
from boathouse.lake import Lake
from boathouse.release.lookups import Lookup, from_meta
from boathouse.sql import identifier, literal

MARTS = "marts"
META = "meta"
_MACRO_MATERIALIZATION = "table_function"
_RAW_ROW_SHOWN = 10_000  # characters; the whole of a rejected record stays in the lake
# Tables of the lake's meta that readers get as they are; all others are put together for them.
_COPIED = {"loads": ["load_id"], "rejected_rows": ["source", "load_id", "row_number"]}
# Columns that DuckLake's change feed adds to those of the table.
FEED_COLUMNS = ("snapshot_id", "rowid", "change_type")


@dataclass(frozen=True)
class Measure:
    """A table's row count and a checksum of its rows that does not depend on their order."""

    rows: int
    checksum: int | None


@dataclass(frozen=True)
class Relation:
    """A table of the released file and the query on the lake that fills it."""

    schema: str
    name: str
    table_id: int | None  # DuckLake's; None for a view
    columns: list[tuple[str, str]]  # name and type
    sorted_by: list[str]
    key: list[str]  # columns whose values tell which rows belong together; empty: unknown
    query: str
    comments: dict[str, str] = field(default_factory=dict)  # column, "" for the table itself
    lookups: tuple[Lookup, ...] = ()
    api: str = ""  # what the API offers of it, as JSON
    path: str = ""  # of the file in the project that makes it
    may_shrink: float | None = None  # share of its rows that it may lose; None: as usual

    @property
    def target(self) -> str:
        """Return the table's name in the file that is being written."""
        return f"released.{identifier(self.schema)}.{identifier(self.name)}"

    @property
    def column_names(self) -> str:
        """Return the columns as a SQL list."""
        return ", ".join(identifier(name) for name, _ in self.columns)

    @property
    def signature(self) -> list[str]:
        """Return columns and types as the released file remembers them."""
        return [f"{name} {kind}" for name, kind in self.columns]

    @property
    def ordered(self) -> str:
        """Return the `order by` clause, empty when there is nothing to sort by."""
        columns = ", ".join(identifier(column) for column in self.sorted_by)
        return f"order by {columns}" if columns else ""

    def measure(self, con: duckdb.DuckDBPyConnection, query: str) -> Measure:
        """Return count and checksum of the rows of a query that returns these columns."""
        checksum = checksum_of(name for name, _ in self.columns)
        rows = con.execute(f"select count(*), {checksum} from ({query}) as rows")
        return Measure(*rows.fetchall()[0])


def checksum_of(columns: Iterable[str]) -> str:
    """Return SQL for the checksum of rows, in any order, that have these columns."""
    return f"coalesce(sum(hash({', '.join(map(identifier, columns))})), 0)"


@dataclass(frozen=True)
class Macro:
    """A macro of the lake's marts, in terms of the released file."""

    name: str
    is_table: bool
    parameters: tuple[str, ...]
    body: str
    comment: str = ""

    @property
    def statement(self) -> str:
        """Return the statement that makes it in the database that is in use."""
        name = f"{MARTS}.{identifier(self.name)}"
        parameters = ", ".join(identifier(parameter) for parameter in self.parameters)
        body = f"table {self.body}" if self.is_table else f"({self.body})"
        return f"create or replace macro {name}({parameters}) as {body}"

    @property
    def call(self) -> str:
        """Return a query that can only be planned when the macro works."""
        arguments = ", ".join("null" for _ in self.parameters)
        call = f"{MARTS}.{identifier(self.name)}({arguments})"
        return f"from {call}" if self.is_table else f"select {call}"


@dataclass(frozen=True)
class Contents:
    """Everything there is to release at one snapshot of the lake."""

    snapshot: int
    snapshot_time: datetime  # by it a snapshot of another lake, or of a restored one, is told apart
    relations: list[Relation]
    macros: list[Macro]
    left_out: list[str]  # tables of lake.marts that the project no longer has

    @property
    def lookups(self) -> list[Lookup]:
        """Return what is to be looked up of all marts."""
        return [lookup for relation in self.relations for lookup in relation.lookups]


def read_contents(lake: Lake) -> Contents:
    """Return what the lake has to release now.

    Raises:
        ReleaseError: a mart of the project is not in the lake, or says it is sorted by a column
            that it does not have.
    """
    snapshot = lake.current_snapshot()
    nodes = {
        node.relation: node
        for node in remembered(lake)
        if node.schema_name == MARTS
        and node.kind in ("model", "snapshot", "seed")
        and node.leaves_result
    }
    columns, table_ids = _columns(lake), _table_ids(lake)
    macros = _macros(lake, nodes) if any(map(_is_macro, nodes.values())) else []
    wanted = {name for name, node in nodes.items() if not _is_macro(node)}
    there = {name for schema, name in columns if schema == MARTS}
    missing = (wanted - there) | (set(nodes) - wanted - {m.name for m in macros})
    if missing:
        raise ReleaseError(
            f"The lake does not have {', '.join(sorted(missing))}, which the project makes.",
            hint="Run `boathouse build` first.",
        )
    marts = [
        _mart(nodes[name], columns[MARTS, name], table_ids.get((MARTS, name)), snapshot)
        for name in sorted(wanted)
    ]
    copied = [
        _copied(name, columns[META, name], table_ids[META, name], snapshot) for name in _COPIED
    ]
    time = lake.snapshot_time(snapshot)
    if time is None:
        raise ReleaseError(f"The lake no longer has snapshot {snapshot}.")
    return Contents(snapshot, time, marts + copied, macros, sorted(there - wanted))


def _is_macro(node: Node) -> bool:
    return node.materialized == _MACRO_MATERIALIZATION


def _columns(lake: Lake) -> dict[tuple[str, str], list[tuple[str, str]]]:
    found: dict[tuple[str, str], list[tuple[str, str]]] = {}
    rows = lake.rows(
        """
        select schema_name, table_name, column_name, data_type
        from duckdb_columns()
        where database_name = 'lake' and schema_name in ('marts', 'meta')
        order by schema_name, table_name, column_index
        """
    )
    for schema, table, column, kind in rows:
        found.setdefault((schema, table), []).append((column, kind))
    return found


def _table_ids(lake: Lake) -> dict[tuple[str, str], int]:
    rows = lake.rows(
        """
        select schemas.schema_name, tables.table_name, tables.table_id
        from __ducklake_metadata_lake.ducklake_table as tables
        inner join __ducklake_metadata_lake.ducklake_schema as schemas using (schema_id)
        where tables.end_snapshot is null and schemas.end_snapshot is null
        """
    )
    return {(schema, table): table_id for schema, table, table_id in rows}


def _mart(
    node: Node, columns: list[tuple[str, str]], table_id: int | None, snapshot: int
) -> Relation:
    names = {name for name, _ in columns}
    unknown = [column for column in node.release_order if column not in names]
    if unknown:
        raise ReleaseError(
            f"{node.path}: {node.name} has no column {unknown[0]} to be sorted by.",
            hint="Mend meta.release_order in the model's config.",
        )
    key = [column for column in node.key if column in names]
    has_feed = not names & set(FEED_COLUMNS)
    version = "" if table_id is None else f" at (version => {snapshot})"
    comments = {column: text for column, text in node.columns.items() if column in names}
    if node.description:
        comments[""] = node.description
    return Relation(
        schema=MARTS,
        name=node.relation,
        table_id=table_id,
        columns=columns,
        sorted_by=node.release_order or key,
        key=key if len(key) == len(node.key) and has_feed else [],
        query=f"select * from lake.marts.{identifier(node.relation)}{version}",
        comments=comments,
        lookups=from_meta(node.relation, node.lookups, node.unique_columns, dict(columns)),
        api=node.api,
        path=node.path,
        may_shrink=_share(node.may_shrink),
    )


def _share(may_shrink: str) -> float | None:
    said = json.loads(may_shrink or "false")
    return None if said is False else float(said)


def _copied(name: str, columns: list[tuple[str, str]], table_id: int, snapshot: int) -> Relation:
    shown = ", ".join(
        f"left({column}, {_RAW_ROW_SHOWN}) as {column}" if column == "raw_row" else column
        for column, _ in columns
    )
    query = f"select {shown} from lake.meta.{name} at (version => {snapshot})"
    return Relation(META, name, table_id, columns, _COPIED[name], [], query)


def _macros(lake: Lake, nodes: dict[str, Node]) -> list[Macro]:
    rows = lake.rows(
        """
        select function_name, function_type, parameters, macro_definition
        from duckdb_functions()
        where database_name = 'lake' and schema_name = 'marts' and macro_definition is not null
        order by function_name
        """
    )
    return [
        _macro(lake, nodes[name], kind == "table_macro", parameters, definition)
        for name, kind, parameters, definition in rows
        if name in nodes
    ]


def _macro(lake: Lake, node: Node, is_table: bool, parameters: list[str], definition: str) -> Macro:
    query = definition if is_table else f"select {definition}"
    tree = json.loads(lake.value(f"select json_serialize_sql({literal(query)})"))
    if tree["error"]:
        raise ReleaseError(
            f"The macro {node.name} cannot be released: {tree['error_message']}",
            hint=f"Simplify {node.path}.",
        )
    _leave_the_lake(tree)
    body = lake.value(f"select json_deserialize_sql({literal(json.dumps(tree))}::json)")
    if not is_table:
        body = body.removeprefix("SELECT ")
    return Macro(node.relation, is_table, tuple(parameters), body, node.description)


def _leave_the_lake(tree: Any) -> None:
    """Take the qualifier `lake` out of a parsed query, so that it works in any database."""
    if isinstance(tree, list):
        for item in tree:
            _leave_the_lake(item)
    elif isinstance(tree, dict):
        for key in ("catalog_name", "catalog"):
            if tree.get(key) == "lake":
                tree[key] = ""
        names = tree.get("column_names")
        if isinstance(names, list) and len(names) > 2 and names[0] == "lake":
            del names[0]
        for item in tree.values():
            _leave_the_lake(item)
