"""Writing a released file: carry over what stayed, change what changed, write the rest anew.

The file is attached as `released` to the connection that has the lake, which is read at one
snapshot. Nothing here decides what is to be written (`plan`) or who may see it (`files`).
"""

import time
from collections.abc import Callable
from pathlib import Path

import duckdb

from boathouse.checkpoints import reached
from boathouse.errors import ReleaseError
from boathouse.release import checksums, lookups
from boathouse.release.about import About, Written, macro_record, write_about
from boathouse.release.contents import MARTS, META, Macro, Measure, Relation
from boathouse.release.copying import copy
from boathouse.release.plan import Plan, Step, Way
from boathouse.release.report import MartReport
from boathouse.sql import identifier, literal

# Rows changed in place lie where they fit, not where they sort: beyond this share of a table,
# look-ups lose more than writing it anew costs.
MOST_CHANGED = 0.2
# A table with more rows than this is checked by its row count after a change in part, and not as
# a whole: reading it twice would make a release cost the history.
LARGE = 200_000
_ALIVE = "('insert', 'update_postimage')"


def write_file(
    con: duckdb.DuckDBPyConnection,
    plan: Plan,
    path: Path,
    about: About,
    on_step: Callable[[str], None],
) -> tuple[list[MartReport], list[Written]]:
    """Write the file of a release and return how each mart came into it, and what it holds.

    Raises:
        ReleaseError: a table in it does not have the rows that it has in the lake.
        duckdb.Error, OSError: it could not be written.
    """
    if plan.base is not None:
        copy(plan.base.path, path)
        path.chmod(0o644)
    reached("release:copied")
    looked_up = _lookups(plan, path, about)
    con.execute(f"attach {literal(str(path))} as released")
    con.execute(f"create schema if not exists released.{MARTS}")
    con.execute(f"create schema if not exists released.{META}")
    _make_room(con, plan)
    reports, written = [], []
    for step in plan.steps:
        on_step(step.relation.name)
        start = time.perf_counter()
        way, record, rows_written = _bring(con, plan, step)
        _bring_lookups(con, looked_up, step.relation, way)
        written.append(record)
        if step.relation.schema == MARTS:
            seconds = time.perf_counter() - start
            name = step.relation.name
            reports.append(MartReport(name, way.value, record.rows, rows_written, seconds))
        reached("release:mart-written")
    con.execute("use released")
    _make_macros(con, plan.contents.macros)
    con.execute("use memory")
    written += [macro_record(macro.name, macro.statement) for macro in plan.contents.macros]
    con.execute("begin transaction")
    _comment(con, plan, {each.name for each in reports if each.how == Way.FULL.value})
    write_about(con, about, written)
    con.execute("commit")
    con.execute("checkpoint released")
    con.execute("detach released")
    looked_up.close()
    reached("release:written")
    return reports, written


def _lookups(plan: Plan, path: Path, about: About) -> lookups.Writer:
    """Return what writes the look-ups beside the file, from those of the release it starts from.

    From nothing where these are not known to be what they were.
    """
    target, base = lookups.beside(path), plan.base
    if base is not None and base.lookups and checksums.has_same_lookups(base.path):
        copy(lookups.beside(base.path), target)
        target.chmod(0o644)
    return lookups.Writer(target, plan.contents.lookups, (about.lake, about.release_id))


def _bring_lookups(
    con: duckdb.DuckDBPyConnection, looked_up: lookups.Writer, relation: Relation, way: Way
) -> None:
    """Bring the look-ups of one table up to date, right after the table itself."""
    if relation.lookups:
        match way:
            case Way.CARRY:
                looked_up.stay(con, relation.name, relation.target)
            case Way.DELTA:
                looked_up.change(con, relation.name, relation.target, gone="gone", alive="alive")
            case Way.FULL:
                looked_up.rebuild(con, relation.name, relation.target)


def _make_room(con: duckdb.DuckDBPyConnection, plan: Plan) -> None:
    """Drop what goes or is written anew, so that its blocks can be used again."""
    if plan.base is None:
        return
    anew = [(s.relation.schema, s.relation.name) for s in plan.steps if s.way is Way.FULL]
    dropped = [name for name in [*plan.gone, *anew] if name in plan.base.written]
    for schema, name in dropped:
        con.execute(f"drop table released.{identifier(schema)}.{identifier(name)}")
    if plan.base.macros:
        _drop_macros(con)
    if dropped:
        con.execute("checkpoint released")


def _drop_macros(con: duckdb.DuckDBPyConnection) -> None:
    macros = con.execute(
        "select function_name, function_type from duckdb_functions() "
        "where database_name = 'released' and schema_name = 'marts'"
    ).fetchall()
    for name, kind in macros:
        noun = "macro table" if kind == "table_macro" else "macro"
        con.execute(f"drop {noun} released.marts.{identifier(name)}")


def _bring(con: duckdb.DuckDBPyConnection, plan: Plan, step: Step) -> tuple[Way, Written, int]:
    """Bring one table into the file; return how, what is in it now, and how many rows it took."""
    relation, before = step.relation, step.before
    if step.way is Way.CARRY and before is not None:
        measure = step.measure or Measure(before.rows, before.checksum)
        return Way.CARRY, _record(relation, measure, before.changed_rows), 0
    if step.way is Way.DELTA and before is not None:
        changed = _change(con, step, before, plan.contents.snapshot)
        if changed is not None:
            measure, rows = changed
            return Way.DELTA, _record(relation, measure, before.changed_rows + rows), rows
        con.execute(f"drop table {relation.target}")
        con.execute("checkpoint released")  # so that its blocks can be used again
    expected = step.measure or relation.measure(con, relation.query)
    con.execute(f"create table {relation.target} as {step.source} {relation.ordered}")
    if relation.measure(con, f"from {relation.target}") != expected:
        raise ReleaseError(
            f"{relation.name} does not have the rows in the released file that it has in the lake.",
            hint="Run `boathouse release` again; if it stays so, this is a defect to report.",
        )
    return Way.FULL, _record(relation, expected, 0), expected.rows


def _record(relation: Relation, measure: Measure, changed_rows: int) -> Written:
    return Written(
        schema_name=relation.schema,
        name=relation.name,
        table_id=relation.table_id,
        columns=relation.signature,
        sorted_by=relation.sorted_by,
        rows=measure.rows,
        checksum=measure.checksum,
        changed_rows=changed_rows,
        definition=None,
    )


def _change(
    con: duckdb.DuckDBPyConnection, step: Step, before: Written, until: int
) -> tuple[Measure, int] | None:
    """Bring a table to a later snapshot by its change feed; return what it has, and rows inserted.

    None when that would leave too many rows out of order, or when the result is not what the
    lake has: compaction can hide deletes from the feed, and a key may not be one.
    """
    relation = step.relation
    _read_feed(con, relation, step.since, until)
    alive = relation.measure(con, "from alive")
    if before.changed_rows + alive.rows > MOST_CHANGED * before.rows:
        return None
    keys = ", ".join(identifier(column) for column in relation.key)
    con.execute(f"create or replace temp table touched as select distinct {keys} from feed")
    is_touched = " and ".join(
        f"old.{identifier(key)} is not distinct from touched.{identifier(key)}"
        for key in relation.key
    )
    # Looked up once: in a large table that costs more than all the rest.
    con.execute(
        f"create or replace temp table gone as select rowid as row_id, {relation.column_names} "
        f"from {relation.target} as old semi join touched on {is_touched}"
    )
    con.execute("begin transaction")
    con.execute(f"delete from {relation.target} where rowid in (select row_id from gone)")
    con.execute(f"insert into {relation.target} from alive {relation.ordered}")
    con.execute("commit")
    if before.rows > LARGE and not step.is_compacted:
        found = _count(con, f"from {relation.target}")
        expected = _count(con, relation.query)
        gone = relation.measure(con, "from gone")
        measure = Measure(found, _sum(before.checksum, alive.checksum, gone.checksum))
        return (measure, alive.rows) if found == expected else None
    found_all = relation.measure(con, f"from {relation.target}")
    is_right = found_all == relation.measure(con, relation.query)
    return (found_all, alive.rows) if is_right else None


def _read_feed(con: duckdb.DuckDBPyConnection, relation: Relation, since: int, until: int) -> None:
    """Make `feed`, all changes of a table after a snapshot, and `alive`, what they came to."""
    con.execute(
        f"create or replace temp table feed as from ducklake_table_changes("
        f"'lake', 'marts', {literal(relation.name)}, {since + 1}, {until})"
    )
    con.execute(
        f"""
        create or replace temp table alive as
        with

        numbered as (
            select
                *,
                row_number() over (
                    partition by rowid order by snapshot_id desc, change_type in {_ALIVE} desc
                ) as place
            from feed
        )

        select {relation.column_names}
        from numbered
        where place = 1 and change_type in {_ALIVE}
        """
    )


def _count(con: duckdb.DuckDBPyConnection, query: str) -> int:
    return int(con.execute(f"select count(*) from ({query})").fetchall()[0][0])


def _sum(before: int | None, added: int | None, gone: int | None) -> int | None:
    """Return the checksum of a table from those of its changes; None when one is not known."""
    if before is None or added is None or gone is None:
        return None
    return before + added - gone


def _make_macros(con: duckdb.DuckDBPyConnection, macros: list[Macro]) -> None:
    """Make the macros in the database that is in use, those that others call first."""
    left = list(macros)
    while left:
        failed: dict[Macro, duckdb.Error] = {}
        for macro in left:
            try:
                con.execute(macro.statement)
            except duckdb.Error as error:
                failed[macro] = error
        if len(failed) == len(left):
            raise ReleaseError(
                f"The macro {left[0].name} does not work on the released marts: {failed[left[0]]}",
                hint="It may use nothing but marts.",
            )
        left = list(failed)


def _comment(con: duckdb.DuckDBPyConnection, plan: Plan, anew: set[str]) -> None:
    """Say in the file what the project says about tables, columns and macros.

    `anew` are the tables that were written anew, and so have lost what was said of them.
    """
    said = plan.base.comments if plan.base is not None else {}
    contents = plan.contents
    for relation in contents.relations:
        for column in ["", *(name for name, _ in relation.columns)]:
            text = relation.comments.get(column)
            before = None if relation.name in anew else said.get((relation.name, column))
            if text != before:
                place = f"table {relation.target}"
                if column:
                    place = f"column {relation.target}.{identifier(column)}"
                con.execute(f"comment on {place} is {_quoted(text)}")
    for macro in contents.macros:
        noun = "macro table" if macro.is_table else "macro"
        name = f"released.{MARTS}.{identifier(macro.name)}"
        con.execute(f"comment on {noun} {name} is {_quoted(macro.comment or None)}")


def _quoted(text: str | None) -> str:
    return "null" if text is None else literal(text)
