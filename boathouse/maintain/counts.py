"""The proof that maintenance changed nothing: rows of every table at every snapshot that stays.

A table is counted at the kept snapshots that changed it; between two of these it is the same.
The count reads the files: DuckLake would answer a plain `count(*)` from its catalogue, which is
just what maintenance rewrites.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from operator import attrgetter

from boathouse.errors import LakeError
from boathouse.lake import Lake
from boathouse.sql import identifier

# About 15 ms each. With more states than this, they are taken at even distances; the first and
# the newest state of each table are always among them.
MOST_COUNTS = 5_000
_SHOWN = 10

Counts = dict["State", int]


@dataclass(frozen=True, order=True)
class State:
    """A table as of a snapshot."""

    schema: str
    table: str
    snapshot: int

    def __str__(self) -> str:
        return f"{self.schema}.{self.table} at snapshot {self.snapshot}"


def states(lake: Lake, kept: Iterable[int], most: int = MOST_COUNTS) -> list[State]:
    """Return every table at every kept snapshot that may have changed it."""
    snapshots = sorted(kept)
    changed = {
        snapshot: {int(item) for items in changes.values() for item in items if item.isdecimal()}
        for snapshot, changes in lake.rows(
            "select snapshot_id, changes from ducklake_snapshots('lake')"
        )
    }
    found = [
        state
        for table_id, schema, table, begin, end in _tables(lake)
        for state in _states_of(
            table_id, schema, table, [s for s in snapshots if begin <= s < end], changed
        )
    ]
    return _thinned(found, most)


def _states_of(
    table_id: int, schema: str, table: str, snapshots: list[int], changed: dict[int, set[int]]
) -> list[State]:
    before: int | None = None
    found = []
    for snapshot in snapshots:
        # What happened in snapshots that have expired, nobody knows any more.
        is_next = before is not None and before == snapshot - 1
        if not is_next or table_id in changed[snapshot] or snapshot == snapshots[-1]:
            found.append(State(schema, table, snapshot))
        before = snapshot
    return found


def _tables(lake: Lake) -> list[tuple[int, str, str, int, int]]:
    """Return id, schema, name, first snapshot, and the one after the last, of all tables."""
    return lake.rows(
        f"""
        select
            tables.table_id,
            schemas.schema_name,
            tables.table_name,
            tables.begin_snapshot,
            coalesce(tables.end_snapshot, {1 << 62})
        from __ducklake_metadata_lake.ducklake_table as tables
        inner join __ducklake_metadata_lake.ducklake_schema as schemas
            on tables.schema_id = schemas.schema_id
        order by all
        """
    )


def _thinned(found: list[State], most: int) -> list[State]:
    if len(found) <= most:
        return found
    ends: dict[tuple[str, str], tuple[State, State]] = {}
    for state in sorted(found):
        first, _ = ends.setdefault((state.schema, state.table), (state, state))
        ends[state.schema, state.table] = (first, state)
    step = -(-len(found) // most)
    return sorted({*found[::step], *(state for pair in ends.values() for state in pair)})


def count(lake: Lake, wanted: Iterable[State]) -> Counts:
    """Return the number of rows of tables as of snapshots.

    Raises:
        LakeError: a table cannot be read as of a snapshot.
    """
    # In one transaction, and in this order, DuckLake reads the catalogue of a snapshot only once.
    lake.con.begin()
    try:
        return {state: _count(lake, state) for state in sorted(wanted, key=attrgetter("snapshot"))}
    finally:
        lake.con.rollback()


def _count(lake: Lake, state: State) -> int:
    table = f"lake.{identifier(state.schema)}.{identifier(state.table)}"
    try:
        return int(
            lake.value(
                f"select count(*) filter (row_id >= 0) from "
                f"(select rowid as row_id from {table} at (version => {state.snapshot}))"
            )
        )
    except Exception as error:
        raise LakeError(
            f"{state} cannot be read: {error}",
            hint="`boathouse doctor` says which files are missing or damaged; "
            "`boathouse restore` puts a backup back.",
        ) from error


def require_same(before: Counts, after: Counts) -> None:
    """Do nothing when both say the same.

    Raises:
        LakeError: names the tables and snapshots that gained or lost rows.
    """
    wrong = [state for state in sorted(before) if before[state] != after.get(state)]
    if wrong:
        lines = [f"  {s}: {before[s]:,} rows before, {after.get(s, 0):,} after" for s in wrong]
        raise LakeError(
            f"Maintenance changed what {len(wrong)} of {len(before)} tables and snapshots hold:\n"
            + "\n".join(lines[:_SHOWN]),
            hint="No file was removed. Restore the last backup, and report this as a defect.",
        )
