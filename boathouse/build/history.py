"""What happened to the relations of the lake since a model last read them.

Three kinds of relation tell it in three ways: raw tables by the number of the load, models of the
strategy `touched` by the changes that they note, every other table by itself as it was then.
"""

from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from boathouse.lake import NAME as LAKE
from boathouse.sql import identifier, literal

Name = tuple[str, ...]  # database, schema and identifier, in lower case

CHANGES = "changes"  # the schema of what models note for others
SYSTEM = ("_change", "_lake_snapshot")
_METADATA = "__ducklake_metadata_lake"
# As the catalogue spells them, and as SQL does.
_TYPES = {
    "int8": "tinyint",
    "int16": "smallint",
    "int32": "integer",
    "int64": "bigint",
    "int128": "hugeint",
    "uint8": "utinyint",
    "uint16": "usmallint",
    "uint32": "uinteger",
    "uint64": "ubigint",
    "uint128": "uhugeint",
    "float32": "float",
    "float64": "double",
}
# Changes of a table after which its rows are the same.
_SAME_ROWS = ("merge_adjacent", "rewrite_delete", "flushed_inlined", "compacted_table")


@dataclass(frozen=True)
class State:
    """A row of meta.model_state."""

    load_id: int
    lake_snapshot: int
    fingerprint: str | None
    stale_reason: str | None
    tracks_snapshot: int | None
    rebuilt_snapshot: int


@dataclass(frozen=True)
class Changed:
    """SQL for the rows that went and came, or, when it is empty, why nobody can tell them."""

    rows: str
    reason: str = ""
    taken_back: str = ""  # SQL for those rows that a corrected delivery took back


class History:
    """Answers from one connection to the lake, for one question: what it read, it keeps."""

    def __init__(self, cursor: Any) -> None:
        """Take a DuckDB cursor on which the lake is attached."""
        self._cursor = cursor

    def state(self, name: Name) -> State | None:
        """Return how far the model of a relation has got; None when that is not known."""
        found = self._rows(
            "select load_id, lake_snapshot, fingerprint, stale_reason, tracks_snapshot, "
            "rebuilt_snapshot "
            f"from {LAKE}.meta.model_state where model = {literal('.'.join(name))}"
        )
        return State(*found[0]) if found else None

    def marked(self) -> set[str]:
        """Return the relations whose rows are not to be trusted."""
        query = f"select model from {LAKE}.meta.model_state where stale_reason is not null"
        return {model for (model,) in self._rows(query)}

    @cached_property
    def columns(self) -> dict[Name, dict[str, str]]:
        """Return the columns of all tables of the lake, in order, with their types."""
        found: dict[Name, dict[str, str]] = {}
        for schema, table, column, kind in self._rows(
            f"""
            select
                schemas.schema_name, tables.table_name, columns.column_name, columns.column_type
            from {_METADATA}.ducklake_column as columns
            inner join {_METADATA}.ducklake_table as tables
                on columns.table_id = tables.table_id and tables.end_snapshot is null
            inner join {_METADATA}.ducklake_schema as schemas
                on tables.schema_id = schemas.schema_id and schemas.end_snapshot is null
            where columns.end_snapshot is null and columns.parent_column is null
            order by tables.table_id, columns.column_order
            """
        ):
            columns = found.setdefault((LAKE, schema.lower(), table.lower()), {})
            columns[column] = _TYPES.get(kind, kind)
        return found

    @staticmethod
    def changes_of(name: Name) -> str:
        """Return the table in which the model of a relation notes its changes."""
        return f"{LAKE}.{CHANGES}.{identifier('.'.join(name[1:]))}"

    def notes(self, name: Name) -> list[str] | None:
        """Return which columns are noted of changed rows; None when there are no notes."""
        columns = self.columns.get((LAKE, CHANGES, ".".join(name[1:])))
        return sorted(column for column in columns if column not in SYSTEM) if columns else None

    def changed(
        self, name: Name, needed: Collection[str], load_id: int, snapshot: int
    ) -> Changed | None:
        """Return what changed in a relation after a load and a snapshot; None when nothing did.

        Args:
            name: The relation.
            needed: Columns that are wanted of the changed rows.
            load_id: The newest load that the reader has seen.
            snapshot: The snapshot of the lake that it read.
        """
        if name[0] != LAKE:
            return Changed("", "it is not in the lake, so that changes in it cannot be seen")
        if name[1] == "raw" and (LAKE, "replaced", name[2]) in self.columns:
            return self._loaded(name, load_id)
        noted = self.noted(name, needed, snapshot)
        if noted is not None:
            return noted if self._has_rows(noted.rows) else None
        return self._compared(name, snapshot)

    def _loaded(self, name: Name, load_id: int) -> Changed | None:
        table = identifier(name[2])
        rows = f"select * from {LAKE}.raw.{table} where _load_id > {load_id}"
        taken_back = (
            f"select * exclude (_replaced_by) from {LAKE}.replaced.{table} "
            f"where _replaced_by > {load_id}"
        )
        if self._has_rows(taken_back):
            return Changed(f"{rows} union all by name {taken_back}", taken_back=taken_back)
        return Changed(rows) if self._has_rows(rows) else None

    def noted(self, name: Name, needed: Collection[str], snapshot: int) -> Changed | None:
        """Return what the model of a relation has noted, if that is all that happened."""
        columns = self.notes(name)
        state = self.state(name)
        if columns is None or state is None or state.tracks_snapshot is None:
            return None
        made = self._table(name)
        if (
            state.tracks_snapshot > snapshot
            or made is None
            or made[1] > state.lake_snapshot + 1  # made anew by somebody who notes nothing
            or not set(needed) <= {column.lower() for column in columns}
        ):
            return None
        return Changed(f"select * from {self.changes_of(name)} where _lake_snapshot >= {snapshot}")

    def _compared(self, name: Name, snapshot: int) -> Changed | None:
        """Return what differs between a table now and as it was."""
        made = self._table(name)
        if made is None:
            return Changed("", "it is no table of the lake, so that changes in it cannot be seen")
        if made[1] <= snapshot and self._touched_since(made[0], snapshot) is False:
            return None
        kept = f"select 1 from {_METADATA}.ducklake_snapshot where snapshot_id = {snapshot}"
        if not self._rows(kept):
            return Changed("", "the lake is not kept any more as it was when it was last read")
        now = ".".join(map(identifier, name))
        then = f"{now} at (version => {snapshot})"
        rows = (
            f"(select * from {now} except all select * from {then}) union all "
            f"(select * from {then} except all select * from {now})"
        )
        return Changed(rows)

    def _table(self, name: Name) -> tuple[int, int] | None:
        """Return number and first snapshot of a table; None when there is no such table."""
        found = self._rows(
            f"""
            select tables.table_id, tables.begin_snapshot
            from {_METADATA}.ducklake_table as tables
            inner join {_METADATA}.ducklake_schema as schemas
                on tables.schema_id = schemas.schema_id and schemas.end_snapshot is null
            where
                tables.end_snapshot is null
                and lower(schemas.schema_name) = {literal(name[1])}
                and lower(tables.table_name) = {literal(name[2])}
            """
        )
        return (int(found[0][0]), int(found[0][1])) if found else None

    def _touched_since(self, table_id: int, snapshot: int) -> bool | None:
        """Return whether rows of a table may have changed after a snapshot; None if unknown."""
        newer = f"from {_METADATA}.ducklake_snapshot where snapshot_id > {snapshot}"
        ((count, newest),) = self._rows(f"select count(*), max(snapshot_id) {newer}")
        if count and count != newest - snapshot:
            return None  # some have expired, and what they changed is forgotten
        for (changes,) in self._rows(
            f"select changes_made from {_METADATA}.ducklake_snapshot_changes "
            f"where snapshot_id > {snapshot}"
        ):
            for change in (changes or "").split(","):
                kind, _, what = change.partition(":")
                if what == str(table_id) and not kind.startswith(_SAME_ROWS):
                    return True
        return False

    def _has_rows(self, query: str) -> bool:
        return bool(self._rows(f"select 1 from ({query}) as found limit 1"))

    def _rows(self, query: str) -> list[tuple[Any, ...]]:
        found: list[tuple[Any, ...]] = self._cursor.execute(query).fetchall()
        return found
