"""The lake: the only module that opens it.

A connection is an in-memory DuckDB with the DuckLake attached as `lake`. Readers need no lock;
whoever writes holds `boathouse.lock` and writes through `Lake.write`, which commits everything
or nothing and starts over when another writer was in the way.
"""

import contextlib
import ctypes
import json
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import duckdb

from boathouse import extensions, identity, lake_place, lock, surroundings
from boathouse.errors import IdentityError, LakeBusyError, LakeError
from boathouse.object_store import open_store
from boathouse.redaction import without_passwords
from boathouse.settings import MIB, Settings
from boathouse.sql import identifier, literal

NAME = "lake"
SCHEMAS = (
    "raw",  # what was loaded
    "replaced",  # rows of raw that a corrected delivery took back
    "meta",  # the warehouse about itself
    "changes",  # keys that changed in incremental models, for the models that follow them
    "seeds",
    "staging",
    "intermediate",
    "marts",
    "snapshots",
)
SMALL_LAKE_ROWS = 1_000_000
RETRIES = 6
FIRST_PAUSE_SECONDS = 0.1
BUSY_MILLISECONDS = 10_000  # SQLite's own patience with another writer
# DuckLake gives about 1 MB of each attach back only when the engine is closed.
MOST_ATTACHES = 20
SLICE_BYTES = 16 * MIB
# What SQLite, PostgreSQL and DuckLake say when two writers met; everything else is not retried.
_PASSING = (
    *("database is locked", "conflict", "could not serialize", "deadlock detected"),
    # DuckLake 1.0 may look at a schema that its cache has let go of (duckdb/ducklake#1248).
    *("allocation failure", "schema not found in metadata catalog"),
)
_OTHER_PLACE = re.compile(r'does not match existing data path in the catalog "([^"]*)"')
_NO_LAKE = "creating a new DuckLake is explicitly disabled"

Result = TypeVar("Result")


@dataclass(frozen=True)
class Lake:
    """An open lake; `con` is a plain DuckDB connection with the lake attached as `lake`."""

    con: duckdb.DuckDBPyConnection

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """Return all rows of a query; values in it are written with `boathouse.sql`.

        To bind one makes DuckDB import pandas, which takes longer than many a command.
        """
        return self.con.execute(query).fetchall()

    def value(self, query: str) -> Any:
        """Return the first value of a query's only row."""
        return self.rows(query)[0][0]

    def put(self, table: str, columns: Mapping[str, str], rows: Sequence[tuple[Any, ...]]) -> None:
        """Make a temporary table of rows, in their order; `columns` gives each one's type.

        The values travel as JSON: to bind them, or to register an Arrow table, makes DuckDB import
        pandas.
        """
        kinds = json.dumps(
            {
                name: [[kind.removesuffix("[]")] if kind.endswith("[]") else kind]
                for name, kind in columns.items()
            }
        )
        listed = ", ".join(f"unnest(document.{identifier(n)}) as {identifier(n)}" for n in columns)
        verb = f"create or replace temp table {table} as"
        for part in _slices(rows):
            document = {name: [row[at] for row in part] for at, name in enumerate(columns)}
            text = json.dumps(document, ensure_ascii=False, default=str)
            self.con.execute(
                f"{verb} select {listed} from "
                f"(select from_json({literal(text)}, {literal(kinds)}) as document)"
            )
            verb = f"insert into {table}"

    def current_snapshot(self) -> int:
        """Return the number of the lake's newest snapshot."""
        return int(self.value("select id from ducklake_current_snapshot('lake') as newest(id)"))

    def snapshot_time(self, snapshot: int) -> datetime | None:
        """Return when a snapshot was made (UTC, without a zone); None when the lake has it no more.

        It is asked of the catalogue: `ducklake_snapshots` goes through all of them.
        """
        rows = self.rows(
            # SQLite has the time as text.
            "select cast(snapshot_time as timestamptz) at time zone 'UTC' "
            "from __ducklake_metadata_lake.ducklake_snapshot "
            f"where snapshot_id = {snapshot}"
        )
        return rows[0][0] if rows else None

    @contextlib.contextmanager
    def reading(self) -> Iterator[None]:
        """Read one snapshot in a `with` block; each statement by itself looks for the newest."""
        self.con.execute("begin transaction")
        try:
            yield
            self.con.execute("commit")  # for temporary tables that were made
        except BaseException:
            roll_back(self.con)
            raise

    def write(
        self,
        work: Callable[[duckdb.DuckDBPyConnection], Result],
        message: str,
        details: Mapping[str, Any] | None = None,
    ) -> Result:
        """Run `work` in one transaction, named by `message`, and return what it returns.

        The whole of `work` runs again when another writer was in the way, so it must not have
        effects beyond the transaction.

        Raises:
            LakeBusyError: the other writer was still in the way after all retries.
        """
        pause = FIRST_PAUSE_SECONDS
        for attempt in range(RETRIES + 1):
            try:
                self.con.execute("begin transaction")
                result = work(self.con)
                name_commit(self.con, message, details)
                self.con.execute("commit")
                return result
            except BaseException as error:
                roll_back(self.con)
                if not is_passing(error):
                    raise
                if attempt == RETRIES:
                    raise LakeBusyError(
                        f"Could not commit “{message}”: another process kept the catalogue busy.",
                        hint="Run it again once that process is done; nothing was written.",
                    ) from error
            time.sleep(pause)
            pause *= 2
        raise AssertionError("unreachable")


def roll_back(con: duckdb.DuckDBPyConnection) -> None:
    """End the transaction of a connection, if there is one.

    It must not be left to closing the connection: when the catalogue's server has ended the session
    of the transaction, the engine then ends the process.
    """
    # The failed statement or commit may have ended the transaction already.
    with contextlib.suppress(duckdb.Error):
        con.execute("rollback")


def _slices(rows: Sequence[tuple[Any, ...]]) -> Iterator[Sequence[tuple[Any, ...]]]:
    """Cut rows into slices that a statement can hold; yields one slice at least."""
    start, size = 0, 0
    for at, row in enumerate(rows):
        length = sum(len(value) if isinstance(value, str) else 20 for value in row)
        if size + length > SLICE_BYTES and at > start:
            yield rows[start:at]
            start, size = at, 0
        size += length
    yield rows[start:]


def name_commit(
    con: duckdb.DuckDBPyConnection, message: str, details: Mapping[str, Any] | None = None
) -> None:
    """Give the open transaction's snapshot an author and a message, kept in the catalogue."""
    extra = json.dumps(dict(details or {}), default=str)
    con.execute(
        "call ducklake_set_commit_message("
        f"'lake', 'boathouse', {literal(message)}, extra_info => {literal(extra)})"
    )


def is_passing(error: BaseException) -> bool:
    """Return whether an error goes away when the transaction runs again."""
    return isinstance(error, duckdb.Error) and any(sign in str(error).lower() for sign in _PASSING)


def _attach_statement(
    settings: Settings,
    *,
    read_only: bool,
    may_create: bool = False,
    version: int | None = None,
    as_of: datetime | None = None,
    name: str = NAME,
) -> str:
    """Return the `ATTACH` statement for the lake, now or as it was.

    What is committed through it carries the token of the writer lock that this process holds.
    """
    options = [
        f"DATA_PATH {literal(settings.data_path)}",
        f"CREATE_IF_NOT_EXISTS {str(may_create).lower()}",
    ]
    if settings.postgres is None:
        options.append(f"META_BUSY_TIMEOUT {BUSY_MILLISECONDS}")
    if lake_place.is_settled_here(settings):
        options.append("OVERRIDE_DATA_PATH true")  # `lake_place.settle` compares with more sense
    if read_only:
        options.append("READ_ONLY")
    elif settings.postgres is None:
        options.append("META_JOURNAL_MODE 'WAL'")
    if version is not None:
        options.append(f"SNAPSHOT_VERSION {version}")
    if as_of is not None:
        options.append(f"SNAPSHOT_TIME {literal(as_of.isoformat(sep=' '))}")
    catalog = settings.catalog_uri
    if settings.postgres is not None:
        from boathouse import catalog_server

        catalog = f"postgres:{catalog_server.address(settings, lock.token(settings))}"
        options.append(f"META_SECRET {literal(catalog_server.SECRET)}")
    address = literal(f"ducklake:{catalog}")
    return f"ATTACH IF NOT EXISTS {address} AS {name} ({', '.join(options)})"


def has_catalog(settings: Settings) -> bool:
    """Return whether there is a catalogue that holds something; one in PostgreSQL always counts."""
    path = settings.catalog_file
    return path is None or (path.exists() and path.stat().st_size > 0)


def exists(settings: Settings) -> bool:
    """Return whether a lake was ever made here.

    Raises:
        IdentityError: one was, but its catalogue is not there.
    """
    if has_catalog(settings):
        return True
    identity.require_unused(settings)
    return False


def _prepare(con: duckdb.DuckDBPyConnection, settings: Settings, *, read_only: bool) -> None:
    extensions.load(con, "ducklake", "sqlite" if settings.postgres is None else "postgres")
    if settings.postgres is not None:
        from boathouse import catalog_server  # its client takes a tenth of a second to import

        con.execute(
            f"create or replace secret {catalog_server.SECRET} "
            f"(type postgres, password {literal(catalog_server.password(settings))})"
        )
    open_store(con, settings)
    con.execute("set timezone = 'UTC'")
    con.execute("set preserve_insertion_order = true")
    # DuckDB makes the folder it spills to, but none above it.
    with contextlib.suppress(OSError) if read_only else contextlib.nullcontext():
        settings.work.mkdir(parents=True, exist_ok=True)
    if not read_only and "://" not in settings.data_path:
        Path(settings.data_path).mkdir(parents=True, exist_ok=True)


def config(settings: Settings) -> dict[str, Any]:
    """Return the DuckDB settings every connection of Boathouse is opened with."""
    return {
        "memory_limit": settings.memory_limit,
        "threads": settings.threads,
        "temp_directory": str(settings.work / "spill"),
        "autoinstall_known_extensions": False,
    }


def suit_threads(con: duckdb.DuckDBPyConnection, settings: Settings) -> None:
    """Let a connection that has the lake use one thread while the lake is small.

    Over few rows, threads mostly wait for each other: a run on the demo data takes 13 % less work
    with one.
    """
    rows = con.execute(
        """
        select coalesce(sum(stats.record_count), 0)
        from __ducklake_metadata_lake.ducklake_table_stats as stats
        inner join __ducklake_metadata_lake.ducklake_table as tables
            on stats.table_id = tables.table_id and tables.end_snapshot is null
        """
    ).fetchall()[0][0]
    con.execute(f"set threads = {1 if rows < SMALL_LAKE_ROWS else settings.threads}")


@contextlib.contextmanager
def connect(
    settings: Settings,
    *,
    read_only: bool = False,
    version: int | None = None,
    as_of: datetime | None = None,
    is_adopting: bool = False,
) -> Iterator[Lake]:
    """Open the lake for the length of a `with` block; see `attach`.

    Raises:
        IdentityError: home, lake and catalogue do not belong together.
        LockLostError: the writer lock of a shared catalogue was lost meanwhile.
        LakeError: there is none yet (when reading), the catalogue cannot be opened, or what the
            lake stands on fails while it is open: see `surroundings`.
    """
    if read_only and not exists(settings):
        raise LakeError(
            f"There is no lake in {settings.home_folder} yet.", hint="Run `boathouse run` first."
        )
    # To look for Python variables that are called like a table, DuckDB calls Python in the middle
    # of a query: Ctrl-C at that instant would be lost.
    ours = {**config(settings), "python_enable_replacements": False}
    is_plain = not (read_only or is_adopting) and version is None and as_of is None
    with (
        lake_place.openable(settings, read_only=read_only) as given,
        _idle.engine(ours, _known_as(given) if is_plain else None) as con,
    ):
        try:
            opened = attach(
                con,
                given,
                read_only=read_only,
                version=version,
                as_of=as_of,
                is_adopting=is_adopting,
            )
            yield opened
            if not read_only:
                identity.note(con, settings)
        except duckdb.Error as error:
            if not read_only:
                lock.require(settings)
            if trouble := surroundings.of_lake(error, settings):
                raise trouble from error
            raise
        except RuntimeError as error:
            if "Query interrupted" in str(error):  # how DuckDB tells of Ctrl-C
                raise KeyboardInterrupt from error
            raise


def _known_as(settings: Settings) -> object:
    """Return what tells a lake that may be left attached from any other, and from itself restored.

    What DuckLake has read of a catalogue it takes for so for as long as it is attached.
    """
    path, file = settings.catalog_file, None
    if path is not None and path.exists():
        there = path.stat()
        file = there.st_dev, there.st_ino
    return settings, lock.token(settings), file


@contextlib.contextmanager
def kept_attached() -> Iterator[None]:
    """Leave the lake attached from one time that this thread writes to the next, in a `with` block.

    A lake that was just attached reads its whole catalogue at the first statement. What others
    commit is seen all the same, and each time it is opened it is asked who it is.
    """
    with _idle.keeping_attached():
        yield


class _Idle:
    """Keeps the engine of the lake that was closed last for the next one to be opened.

    A new engine checks the signatures of the extensions, which takes a quarter of a second: that is
    spent once for `MOST_ATTACHES` lakes.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: _Engine | None = None
        self._thread = threading.local()

    @contextlib.contextmanager
    def engine(
        self, config: dict[str, Any], lake: object = None
    ) -> Iterator[duckdb.DuckDBPyConnection]:
        """Lend a connection to an engine that nobody else uses; after an error it is not kept.

        Only this `lake`, where it is given, may be attached to it already.
        """
        engine = self._take(config, lake) or _Engine(config, duckdb.connect(config=config))
        attaches = engine.attaches + (engine.lake is None)
        try:
            with engine.con.cursor() as con:
                try:
                    yield con
                finally:
                    roll_back(con)
            engine = replace(engine, attaches=attaches, lake=lake)
            if lake is None or not self._is_keeping:
                engine = engine.detached()
        except BaseException:
            engine.con.close()
            raise
        self._keep(engine)

    @contextlib.contextmanager
    def keeping_attached(self) -> Iterator[None]:
        """Detach what this thread opens only at the end of the outermost of these."""
        is_outermost = not self._is_keeping
        self._thread.is_keeping = True
        try:
            yield
        finally:
            if is_outermost:
                self._thread.is_keeping = False
                self._detach()

    @property
    def _is_keeping(self) -> bool:
        return getattr(self._thread, "is_keeping", False)

    def _take(self, config: dict[str, Any], lake: object) -> "_Engine | None":
        kept = self._taken()
        if kept is None:
            return None
        if kept.config == config:
            return kept if kept.lake == lake else _free(kept)
        kept.con.close()
        return None

    def _detach(self) -> None:
        kept = self._taken()
        if kept is not None and (free := _free(kept)):
            self._keep(free)

    def _taken(self) -> "_Engine | None":
        with self._lock:
            kept, self._kept = self._kept, None
        return kept

    def _keep(self, engine: "_Engine") -> None:
        if engine.lake is None and engine.attaches >= MOST_ATTACHES:
            engine.con.close()
            _give_back_memory()
            return
        with self._lock:
            before, self._kept = self._kept, engine
        if before is not None:
            before.con.close()


def _give_back_memory() -> None:
    """Let the C library give the system what was freed; glibc keeps it, in pieces, until asked."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


@dataclass(frozen=True)
class _Engine:
    """An engine, how many lakes it has had, and the one that was left attached."""

    config: dict[str, Any]
    con: duckdb.DuckDBPyConnection
    attaches: int = 0
    lake: object = None

    def detached(self) -> "_Engine":
        """Return it without the lake that is attached to it."""
        self.con.execute(f"detach {NAME}")
        return replace(self, lake=None)


def _free(engine: _Engine) -> _Engine | None:
    """Return an engine without a lake; None, and it is closed, when its lake does not let go."""
    try:
        return engine if engine.lake is None else engine.detached()
    except duckdb.Error:
        engine.con.close()
        return None


_idle = _Idle()


def attach(
    con: duckdb.DuckDBPyConnection,
    settings: Settings,
    *,
    read_only: bool = False,
    version: int | None = None,
    as_of: datetime | None = None,
    is_adopting: bool = False,
) -> Lake:
    """Attach the lake to a connection that somebody else opened; to write, make its folders.

    A catalogue is only made where nothing speaks for a lake that was there before; one that
    another process is just making is tried again. To be written in, a lake of an older format is
    upgraded.

    Args:
        con: The connection.
        settings: Which home, lake and catalogue.
        read_only: Whether nothing is going to be written.
        version: The snapshot to read.
        as_of: The time (UTC) as of which to read.
        is_adopting: Whether a person has said that the catalogue is the right one.

    Raises:
        LakeError: the catalogue cannot be opened, or its files are in another place.
        IdentityError: home, lake and catalogue do not belong together, or are of a newer format.
        LockTimeoutError: an upgrade is due, and another writer was not done in time.
    """
    facts = _open(con, settings, read_only, version, as_of, is_adopting)
    opened = Lake(con)
    if not read_only and facts.format < identity.FORMAT:
        from boathouse.upgrade import upgrade  # which works with this module

        try:
            upgrade(opened, settings)
        except duckdb.Error as error:
            raise (surroundings.of_lake(error, settings) or error) from error
    return opened


def _open(
    con: duckdb.DuckDBPyConnection,
    settings: Settings,
    read_only: bool,
    version: int | None,
    as_of: datetime | None,
    is_adopting: bool,
) -> identity.Facts:
    """Attach the lake as it is, and return what its catalogue says of itself."""
    if not has_catalog(settings):
        identity.require_unused(settings)
    _prepare(con, settings, read_only=read_only)
    pause = FIRST_PAUSE_SECONDS
    for attempt in range(RETRIES + 1):
        try:
            may_create = not read_only and not identity.is_used(settings, con)
            statement = _attach_statement(
                settings, read_only=read_only, may_create=may_create, version=version, as_of=as_of
            )
            con.execute(statement)
            facts = _identify(con, settings, read_only=read_only, is_adopting=is_adopting)
            if not read_only and lock.fence(settings):
                con.execute(f"detach {NAME}")
                con.execute(_attach_statement(settings, read_only=False))  # with the token
            return facts
        except duckdb.Error as error:
            if _NO_LAKE in str(error):
                identity.require_unused(settings, con)
            if elsewhere := _OTHER_PLACE.search(str(error)):
                raise lake_place.refusal(elsewhere[1], settings) from error
            if not is_passing(error) and (trouble := surroundings.as_expected(error, settings)):
                raise trouble from error
            if not is_passing(error) or attempt == RETRIES:
                said = without_passwords(str(error))
                raise (LakeBusyError if is_passing(error) else LakeError)(
                    f"The lake's catalogue cannot be opened: {said}",
                    hint="Check BOATHOUSE_HOME, BOATHOUSE_CATALOG and BOATHOUSE_LAKE.",
                ) from error
        time.sleep(pause)
        pause *= 2
    raise AssertionError("unreachable")


def _identify(
    con: duckdb.DuckDBPyConnection, settings: Settings, *, read_only: bool, is_adopting: bool
) -> identity.Facts:
    """See to it that the attached catalogue, its files and the home belong together.

    Returns what the catalogue has said of itself before.
    """
    home, facts = identity.look(con, settings)
    lake_place.check(con, settings, facts.data_path, read_only=read_only)
    how = {"is_writing": not read_only, "is_adopting": is_adopting}
    try:
        identity.check(con, settings, facts, home, **how)
    except IdentityError:
        # Another process may have given them their identity between one look and the other.
        home, facts = identity.look(con, settings)
        identity.check(con, settings, facts, home, **how)
    if not read_only:
        lake_place.settle(con, settings, facts.data_path)
        identity.settle(con, settings, facts, home, is_adopting=is_adopting)
    return facts


@contextlib.contextmanager
def beside(lake: Lake, settings: Settings, name: str) -> Iterator[None]:
    """Attach another lake under a name, to be read beside an open one, for a `with` block."""
    lake.con.execute(_attach_statement(settings, read_only=True, name=name))
    try:
        yield
    finally:
        lake.con.execute(f"detach {name}")
