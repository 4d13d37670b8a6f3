"""What happened to the relations of the lake since a model last read them.

Three kinds of relation tell it in three ways: raw tables by the number of the load, models of the
strategy `touched` by the changes that they note, every other table by itself as it was then.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from boathouse.lake import NAME as LAKE
from boathouse.sql import identifier

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
class Table:
    """A table of the lake."""

    number: int
    begin: int  # the snapshot that made it
    columns: dict[str, str]
    may_have_rows: bool


@dataclass(frozen=True)
class Changed:
    """SQL for the rows that went and came, or, when it is empty, why nobody can tell them."""

    rows: str
    reason: str = ""
    taken_back: str = ""  # SQL for those rows that a corrected delivery took back


class History:
    """Answers from one connection to the lake, for one question: what it read, it keeps."""

    def __init__(self, cursor: Callable[[], Any], noting: Collection[Name] | None = None) -> None:
        """Take what returns a DuckDB cursor on which the lake is attached.

        Args:
            cursor: Returns it.
            noting: The relations whose models note their changes; None for all that ever did.
        """
        self._cursor = cursor
        self._noting = noting

    @cached_property
    def states(self) -> dict[str, State]:
        """Return how far models have got, by the names of their relations."""
        return {
            model: State(*state)
            for model, *state in self._rows(
                "select model, load_id, lake_snapshot, fingerprint, stale_reason, "
                f"tracks_snapshot, rebuilt_snapshot from {LAKE}.meta.model_state"
            )
        }

    def state(self, name: Name) -> State | None:
        """Return how far the model of a relation has got; None when that is not known."""
        return self.states.get(".".join(name))

    @property
    def columns(self) -> dict[Name, dict[str, str]]:
        """Return the columns of all tables of the lake, in order, with their types."""
        return {name: table.columns for name, table in self._tables.items()}

    @cached_property
    def _tables(self) -> dict[Name, Table]:
        found: dict[Name, Table] = {}
        for schema, table, number, begin, rows, column, kind in self._rows(
            f"""
            select
                schemas.schema_name,
                tables.table_name,
                tables.table_id,
                tables.begin_snapshot,
                stats.record_count,
                columns.column_name,
                columns.column_type
            from {_METADATA}.ducklake_column as columns
            inner join {_METADATA}.ducklake_table as tables
                on columns.table_id = tables.table_id and tables.end_snapshot is null
            inner join {_METADATA}.ducklake_schema as schemas
                on tables.schema_id = schemas.schema_id and schemas.end_snapshot is null
            left join {_METADATA}.ducklake_table_stats as stats on tables.table_id = stats.table_id
            where columns.end_snapshot is null and columns.parent_column is null
            order by tables.table_id, columns.column_order
            """
        ):
            name = (LAKE, schema.lower(), table.lower())
            known = found.setdefault(name, Table(int(number), int(begin), {}, bool(rows)))
            known.columns[column] = _TYPES.get(kind, kind)
        return found

    @staticmethod
    def changes_of(name: Name) -> str:
        """Return the table in which the model of a relation notes its changes."""
        return f"{LAKE}.{CHANGES}.{identifier('.'.join(name[1:]))}"

    def notes(self, name: Name) -> list[str] | None:
        """Return which columns are noted of changed rows; None when there are no notes."""
        if self._noting is not None and name not in self._noting:
            return None  # what its model notes no longer, it has noted before
        table = self._tables.get((LAKE, CHANGES, ".".join(name[1:])))
        return sorted(set(table.columns) - set(SYSTEM)) if table else None

    def changed(
        self, name: Name, needed: Collection[str], load_id: int, snapshot: int
    ) -> Changed | None:
        """Return what may have changed in a relation after a load and a snapshot; None for nothing.

        Args:
            name: The relation.
            needed: Columns that are wanted of the changed rows.
            load_id: The newest load that the reader has seen.
            snapshot: The snapshot of the lake that it read.
        """
        if name[0] != LAKE:
            return Changed("", "it is not in the lake, so that changes in it cannot be seen")
        if name[1] == "raw" and (LAKE, "replaced", name[2]) in self._tables:
            return self._loaded(name, load_id)
        return self.noted(name, needed, snapshot) or self._compared(name, snapshot)

    def has_rows(self, changed: Changed) -> bool:
        """Return whether anything changed."""
        return bool(self._rows(f"select 1 from ({changed.rows}) as found limit 1"))

    def _loaded(self, name: Name, load_id: int) -> Changed:
        table = identifier(name[2])
        rows = f"select * from {LAKE}.raw.{table} where _load_id > {load_id}"
        newer = f"from {LAKE}.replaced.{table} where _replaced_by > {load_id}"
        # Most never had a row, and to find none takes as long as a small model.
        has_any = self._tables[LAKE, "replaced", name[2]].may_have_rows
        if has_any and self._rows(f"select 1 {newer} limit 1"):
            taken_back = f"select * exclude (_replaced_by) {newer}"
            return Changed(f"{rows} union all by name {taken_back}", taken_back=taken_back)
        return Changed(rows)

    def noted(self, name: Name, needed: Collection[str], snapshot: int) -> Changed | None:
        """Return what the model of a relation has noted, if that is all that happened."""
        columns = self.notes(name)
        state = self.state(name)
        if columns is None or state is None or state.tracks_snapshot is None:
            return None
        made = self._tables.get(name)
        if (
            state.tracks_snapshot > snapshot
            or made is None
            or made.begin > state.lake_snapshot + 1  # made anew by somebody who notes nothing
            or not set(needed) <= {column.lower() for column in columns}
        ):
            return None
        return Changed(f"select * from {self.changes_of(name)} where _lake_snapshot >= {snapshot}")

    def _compared(self, name: Name, snapshot: int) -> Changed | None:
        """Return what differs between a table now and as it was."""
        made = self._tables.get(name)
        if made is None:
            return Changed("", "it is no table of the lake, so that changes in it cannot be seen")
        if made.begin <= snapshot and self._touched_since(made.number, snapshot) is False:
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

    def _rows(self, query: str) -> list[tuple[Any, ...]]:
        found: list[tuple[Any, ...]] = self._cursor().execute(query).fetchall()
        return found
