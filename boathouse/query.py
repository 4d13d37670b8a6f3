"""Ad-hoc SQL on the released warehouse, or on the lake now or as it was. Read-only."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime

import duckdb

from boathouse import lake, surroundings
from boathouse.errors import BoathouseError, UsageError
from boathouse.release.about import require_known
from boathouse.release.files import current_id, path_of
from boathouse.settings import Settings
from boathouse.sql import first_row


class QueryError(BoathouseError):
    """A query failed; the message is the engine's own."""


@contextmanager
def open_for_queries(
    settings: Settings,
    *,
    on_lake: bool = False,
    version: int | None = None,
    as_of: str | None = None,
) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open the released warehouse, or with `on_lake` the lake, for reading.

    Args:
        settings: where they are.
        on_lake: query the lake (`raw`, `meta`, `staging`, `marts` …) in place of the release.
        version: the lake as of this snapshot.
        as_of: the lake as of this time, ISO text; without an offset it is UTC.

    Raises:
        UsageError: time travel without the lake, both kinds at once, or no readable time.
        LakeError, QueryError: there is nothing to open.
    """
    if (version is not None or as_of is not None) and not on_lake:
        raise UsageError(
            "--as-of and --version are for the lake.",
            hint="Add --lake; earlier releases are under `boathouse releases`.",
        )
    if version is not None and as_of is not None:
        raise UsageError("--as-of and --version exclude each other.", hint="Give one of them.")
    if not on_lake:
        with _released(settings) as con:
            yield con
        return
    with lake.connect(
        settings, read_only=True, version=version, as_of=_time(as_of) if as_of else None
    ) as opened:
        opened.con.execute("use lake")
        yield opened.con


@contextmanager
def _released(settings: Settings) -> Iterator[duckdb.DuckDBPyConnection]:
    release_id = current_id(settings)
    if release_id is None and not settings.warehouse.exists():
        raise QueryError(
            f"There is no released warehouse yet ({settings.warehouse}).",
            hint="Run `boathouse run` (or `make warehouse`) first.",
        )
    # Not what everybody opens: somebody may be writing in that.
    path = settings.warehouse if release_id is None else path_of(settings, release_id)
    try:
        con = duckdb.connect(str(path), read_only=True)
    except duckdb.Error as error:
        raise QueryError(
            f"{path} cannot be opened: {error}",
            hint="Put an earlier release back with `boathouse rollback`.",
        ) from error
    try:
        con.execute("set timezone = 'UTC'")
        with suppress(duckdb.Error, IndexError):  # no release, but the person has asked for it
            require_known(first_row(con, "from meta.release"), path)
        yield con
    finally:
        con.close()


def _time(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(
            f"{text!r} is no time.", hint="Write it like 2026-03-01 or 2026-03-01T12:30:00+01:00."
        ) from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def execute(con: duckdb.DuckDBPyConnection, query: str) -> duckdb.DuckDBPyRelation | None:
    """Return the result of the last statement of a query, or None when it has none.

    Raises:
        QueryError: DuckDB could not run it.
    """
    try:
        return con.sql(query)
    except duckdb.Error as error:
        raise failed(error) from error


def failed(error: duckdb.Error) -> QueryError:
    """Return our own error for one of DuckDB's, with what to do when it speaks of damage."""
    to_do = "`boathouse doctor --deep` says what is damaged, and what to do about it."
    return QueryError(str(error), hint=to_do if surroundings.is_damage(error) else "")
