"""What a release has to write, given the release that it starts from.

DuckLake's catalogue says which tables have changed since: none of their files is looked at. Only
where it cannot say (a table was made anew, compacted, or the snapshots in between have expired)
are the table's rows compared, by count and checksum.
"""

from dataclasses import dataclass, replace
from enum import Enum
from operator import itemgetter

from boathouse.lake import Lake
from boathouse.release.about import Base, Written
from boathouse.release.contents import MARTS, Contents, Measure, Relation
from boathouse.sql import identifier

# Kinds of change that the change feed tells row by row; what else there is, it does not.
_ROW_CHANGES = frozenset(
    {"tables_inserted_into", "tables_deleted_from", "inlined_insert", "inlined_delete"}
)
# Rows stay the same; but the feed may tell each of them as changed, or no longer tell a delete.
_COMPACTIONS = frozenset({"merge_adjacent", "rewrite_delete", "flushed_inlined"})
_TOLD = _ROW_CHANGES | _COMPACTIONS
# A table that had no more rows than this is held in memory while it is compared.
_FEW_ROWS = 200_000


class Way(Enum):
    """How a table comes into the new file."""

    CARRY = "carried over"
    DELTA = "changed in part"
    FULL = "written anew"


@dataclass(frozen=True)
class Step:
    """One table of the new file."""

    relation: Relation
    way: Way
    before: Written | None  # in the file that it starts from
    measure: Measure | None = None  # of the table in the lake, when it was taken already
    query: str = ""  # what fills it, when that is not the relation's own query
    since: int = 0  # the snapshot after which its change feed begins
    is_compacted: bool = False  # among the changes, so that the feed may not tell all of them

    @property
    def source(self) -> str:
        """Return the query that fills the table."""
        return self.query or self.relation.query


@dataclass(frozen=True)
class Plan:
    """Everything the new file needs; `base` is None when it is written from nothing."""

    contents: Contents
    base: Base | None
    steps: list[Step]
    gone: list[tuple[str, str]]
    has_new_macros: bool
    has_new_comments: bool
    has_new_offers: bool  # what is looked up, or what the API shows

    @property
    def has_changes(self) -> bool:
        """Return whether readers would see anything new."""
        return bool(
            self.gone
            or self.has_new_macros
            or self.has_new_comments
            or self.has_new_offers
            or any(step.way is not Way.CARRY for step in self.steps)
        )


@dataclass(frozen=True)
class _Changes:
    """What happened to the lake's tables after a snapshot; None when nobody knows any more."""

    since: int
    by_table: dict[int, list[tuple[int, frozenset[str]]]] | None

    def of(self, table_id: int | None) -> list[tuple[int, frozenset[str]]] | None:
        """Return the snapshots that touched a table, in order, with what they did to it."""
        if self.by_table is None or table_id is None:
            return None
        return self.by_table.get(table_id, [])


def make_plan(lake: Lake, contents: Contents, base: Base | None) -> Plan:
    """Return what has to be written to release `contents` on top of `base`."""
    if base is None:
        steps = [Step(relation, Way.FULL, None) for relation in contents.relations]
        return Plan(contents, None, steps, [], bool(contents.macros), True, True)
    changes = _changes(lake, base, contents.snapshot)
    names = {(relation.schema, relation.name) for relation in contents.relations}
    return Plan(
        contents=contents,
        base=base,
        steps=[_step(lake, relation, base, changes) for relation in contents.relations],
        gone=sorted(set(base.written) - names),
        has_new_macros=_macros(contents) != base.macros,
        has_new_comments=_comments(contents) != base.comments,
        has_new_offers=_offers(contents) != (base.lookups, base.api),
    )


def touched(lake: Lake, contents: Contents, base: Base) -> list[Relation]:
    """Return the marts that may have other rows than in `base`, as far as the catalogue tells."""
    changes = _changes(lake, base, contents.snapshot)
    found = []
    for relation in contents.relations:
        before = base.written.get((relation.schema, relation.name))
        is_same_table = before is not None and before.table_id == relation.table_id
        if relation.schema == MARTS and not (is_same_table and changes.of(relation.table_id) == []):
            found.append(relation)
    return found


def from_nothing(plan: Plan) -> Plan:
    """Return the plan that writes the same contents without starting from another file."""
    steps = [replace(step, way=Way.FULL, before=None) for step in plan.steps]
    return Plan(plan.contents, None, steps, [], True, True, True)


def _changes(lake: Lake, base: Base, until: int) -> _Changes:
    since = base.lake_snapshot
    rows = lake.rows(
        f"""
        select snapshot_id, changes
        from ducklake_snapshots('lake')
        where snapshot_id > {since} and snapshot_id <= {until}
        """
    )
    if lake.snapshot_time(since) != base.snapshot_time or len(rows) != until - since:
        return _Changes(since, None)  # some have expired, or this is not the lake of that release
    by_table: dict[int, list[tuple[int, frozenset[str]]]] = {}
    for snapshot, changes in sorted(rows, key=itemgetter(0)):
        touched: dict[int, set[str]] = {}
        for kind, items in changes.items():
            for item in items:
                if item.isdecimal():  # not the name of something that was made
                    touched.setdefault(int(item), set()).add(kind)
        for table_id, kinds in touched.items():
            by_table.setdefault(table_id, []).append((snapshot, frozenset(kinds)))
    return _Changes(since, by_table)


def _step(lake: Lake, relation: Relation, base: Base, changes: _Changes) -> Step:
    before = base.written.get((relation.schema, relation.name))
    if (
        before is None
        or before.columns != relation.signature
        or before.sorted_by != relation.sorted_by
    ):
        return Step(relation, Way.FULL, before)
    history = changes.of(relation.table_id)
    if history is None or before.table_id != relation.table_id:
        return _compared(lake, relation, before)
    if not history:
        return Step(relation, Way.CARRY, before)
    since = changes.since
    while history and history[0][1] <= _COMPACTIONS:
        since = history.pop(0)[0]
    if history and relation.key and all(kinds <= _TOLD for _, kinds in history):
        is_compacted = not all(kinds <= _ROW_CHANGES for _, kinds in history)
        return Step(relation, Way.DELTA, before, since=since, is_compacted=is_compacted)
    return _compared(lake, relation, before)


def _compared(lake: Lake, relation: Relation, before: Written) -> Step:
    """Return the step for a table of which only its rows can tell whether it has changed."""
    query = relation.query
    if before.rows <= _FEW_ROWS:
        # Opening a table of the lake costs more than its rows: read them once, for both purposes.
        staged = identifier(f"staged_{relation.schema}_{relation.name}")
        lake.con.execute(f"create or replace temp table {staged} as {query}")
        query = f"from temp.{staged}"
    measure = relation.measure(lake.con, query)
    is_same = measure == Measure(before.rows, before.checksum)
    return Step(relation, Way.CARRY if is_same else Way.FULL, before, measure, query)


def _macros(contents: Contents) -> dict[str, str]:
    return {macro.name: macro.statement for macro in contents.macros}


def _comments(contents: Contents) -> dict[tuple[str, str], str]:
    return {
        (relation.name, column): text
        for relation in contents.relations
        for column, text in relation.comments.items()
    } | {(macro.name, ""): macro.comment for macro in contents.macros if macro.comment}


def _offers(contents: Contents) -> tuple[dict[str, str], dict[str, str]]:
    lookups = {each.table: each.definition for each in contents.lookups}
    return lookups, {each.name: each.api for each in contents.relations if each.api}
