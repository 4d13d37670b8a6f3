"""Giving the parts their identity: done by whoever holds the writer lock."""

import uuid

import duckdb

from boathouse import lock
from boathouse.checkpoints import reached
from boathouse.identity import marks
from boathouse.identity.check import check
from boathouse.identity.marks import Facts, HomeMark, Mark
from boathouse.settings import Settings


def settle(
    con: duckdb.DuckDBPyConnection,
    settings: Settings,
    facts: Facts,
    home: HomeMark | None,
    *,
    is_adopting: bool = False,
) -> None:
    """Let every part of a lake that was checked carry its identity, and the home what is newest.

    Where something is missing, who does not hold the writer lock takes it; while somebody else
    has it, it is left to them.
    """
    lake = marks.of_lake(con, settings)
    if facts.mark is not None and lake is not None and home is not None and not is_adopting:
        if facts.newest > home.snapshot and lock.held_here(settings):
            _write_home(settings, facts.mark, facts)
    elif lock.held_here(settings):
        _complete(con, settings, facts, home, lake)
    elif not lock.is_held(settings):
        with lock.writer(settings, "boathouse"):
            home, facts = marks.look(con, settings)
            check(con, settings, facts, home, is_writing=True)
            _complete(con, settings, facts, home, marks.of_lake(con, settings))


def _complete(
    con: duckdb.DuckDBPyConnection,
    settings: Settings,
    facts: Facts,
    home: HomeMark | None,
    lake: Mark | None,
) -> None:
    """Write what is missing; the home comes last: what it says, the others say as well."""
    known = facts.mark or lake or home
    mark = Mark(known.lake if known else new(), facts.format)
    if facts.mark is None:
        marks.write_catalog(con, mark)
    reached("identity:catalogue-marked")
    if lake is None:
        marks.write_lake(con, settings, mark)
    reached("identity:lake-marked")
    _write_home(settings, mark, facts)


def new() -> str:
    """Return an identity that no lake has had."""
    return uuid.uuid4().hex


def note(con: duckdb.DuckDBPyConnection, settings: Settings) -> None:
    """Let the home know the newest snapshot of the attached lake, when this process may write."""
    if lock.held_here(settings):
        home, facts = marks.look(con, settings)
        if home is not None and facts.newest > home.snapshot:
            _write_home(settings, home, facts)


def _write_home(settings: Settings, mark: Mark, facts: Facts) -> None:
    told = HomeMark(mark.lake, facts.format, facts.newest, facts.newest_time)
    marks.write_home(settings, told)
