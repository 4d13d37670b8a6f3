"""The one writer lock: whoever changes the lake holds it, whatever started them.

The lock is a file lock, which the operating system drops when its process dies. With a shared
PostgreSQL catalogue an advisory lock in that database is held as well, so that two machines
exclude each other. The lock is re-entrant within a process.
"""

import fcntl
import json
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import duckdb
from filelock import FileLock, Timeout

from boathouse import extensions
from boathouse.errors import LakeBusyError, LakeError, LockTimeoutError
from boathouse.settings import Settings
from boathouse.sql import literal

ADVISORY_KEY = 0x426F6174  # "Boat": any number that all of us agree on
POLL_SECONDS = 0.1


@dataclass(frozen=True)
class Holder:
    """Who holds the lock, as a waiting command shows it."""

    command: str
    pid: int
    host: str
    since: str  # UTC, to the microsecond

    def __str__(self) -> str:
        return f"`{self.command}` (process {self.pid} on {self.host}, since {self.since[:19]} UTC)"


class _WriterLock:
    """One process's hold on the lock of one home; counts how often it was taken."""

    def __init__(self, path: Path) -> None:
        _require_writable(path.parent)
        self._file = FileLock(path, thread_local=False)
        self._threads = threading.RLock()
        self._postgres: duckdb.DuckDBPyConnection | None = None
        self._depth = 0

    def acquire(
        self,
        settings: Settings,
        command: str,
        on_wait: Callable[[str], None],
        is_given_up: Callable[[], bool],
    ) -> None:
        self._settings = settings
        self._is_given_up = is_given_up
        deadline = time.monotonic() + settings.lock_timeout
        self._acquire_thread(on_wait, deadline)
        try:
            if self._depth == 0:
                self._acquire_file(on_wait, deadline)
                try:
                    self._acquire_postgres(on_wait, deadline)
                    self._note_holder(command)
                except BaseException:
                    self._drop()
                    raise
            self._depth += 1
        except BaseException:
            self._threads.release()
            raise

    def keep(self) -> None:
        """Let other threads of this process take the lock again, until somebody lets it go."""
        self._threads.release()

    def let_go(self) -> None:
        """Undo one `acquire` that was kept, from any thread, once no other thread holds it."""
        self._threads.acquire()
        self.release()

    def release(self) -> None:
        self._depth -= 1
        if self._depth == 0:
            self._drop()
        self._threads.release()

    def _drop(self) -> None:
        if self._postgres is not None:
            self._postgres.close()
            self._postgres = None
        self._file.release()

    def _acquire_thread(self, on_wait: Callable[[str], None], deadline: float) -> None:
        """Wait for the other threads of this process."""
        if not self._threads.acquire(blocking=False):
            self._tell(on_wait)
            if not self._threads.acquire(timeout=max(0.0, deadline - time.monotonic())):
                raise self._timed_out()

    def _tell(self, on_wait: Callable[[str], None]) -> None:
        waiting_for = holder(self._settings) or "another process"
        on_wait(f"Waiting for {waiting_for} to finish writing …")

    def _acquire_file(self, on_wait: Callable[[str], None], deadline: float) -> None:
        told = False
        while True:
            with suppress(Timeout):
                self._file.acquire(timeout=0)
                return
            if not told:
                self._tell(on_wait)
                told = True
            self._pause(deadline)

    def _acquire_postgres(self, on_wait: Callable[[str], None], deadline: float) -> None:
        if self._settings.postgres is None:
            return
        con = self._postgres = duckdb.connect()
        extensions.load(con, "postgres")
        try:
            con.execute(f"ATTACH {literal(self._settings.postgres)} AS pg (TYPE postgres)")
        except duckdb.Error as error:
            # The address may hold a password.
            said = str(error).replace(self._settings.postgres, "…")
            raise LakeBusyError(
                f"The catalogue's PostgreSQL server cannot be reached: {said.strip()}",
                hint="Check BOATHOUSE_CATALOG, and that the server is running.",
            ) from error
        # One transaction keeps one session, and an advisory lock lives as long as its session.
        con.execute("BEGIN")
        attempt = f"select pg_try_advisory_lock({ADVISORY_KEY}) as held"
        told = False
        while not con.execute("from postgres_query('pg', ?)", [attempt]).fetchall()[0][0]:
            if not told:
                on_wait("Waiting for another machine that is writing to the shared catalogue …")
                told = True
            self._pause(deadline)

    def _pause(self, deadline: float) -> None:
        """Wait a little before the next attempt, if there may be one."""
        if time.monotonic() > deadline or self._is_given_up():
            raise self._timed_out()
        time.sleep(POLL_SECONDS)

    def _note_holder(self, command: str) -> None:
        since = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")
        note = Holder(command, os.getpid(), socket.gethostname(), since)
        temporary = _holder_file(self._settings).with_suffix(f".{os.getpid()}")
        temporary.write_text(json.dumps(asdict(note)))
        temporary.replace(_holder_file(self._settings))

    def _timed_out(self) -> LockTimeoutError:
        return LockTimeoutError(
            f"Gave up after {self._settings.lock_timeout:.0f} s: "
            f"{holder(self._settings) or 'another process'} is still writing.",
            hint="Wait for it, stop it, or allow more time with BOATHOUSE_LOCK_TIMEOUT.",
        )


def _require_writable(home: Path) -> None:
    """Make the home if need be.

    Raises:
        LakeError: nothing may be written there.
    """
    with suppress(PermissionError):
        home.mkdir(parents=True, exist_ok=True)
    if not os.access(home, os.W_OK):
        raise LakeError(
            f"Nothing may be written in {home}.",
            hint="Mount it for writing, or work as the user it belongs to. What only reads works: "
            "`boathouse sql`, `status`, `doctor`, the API, the dashboard.",
        )


_locks: dict[Path, _WriterLock] = {}


def _holder_file(settings: Settings) -> Path:
    return settings.lock_file.with_suffix(".json")


def holder(settings: Settings) -> Holder | None:
    """Return who last took the lock (it may have let go since), or None when nobody ever did."""
    try:
        return Holder(**json.loads(_holder_file(settings).read_text()))
    except (OSError, ValueError, TypeError):
        return None


def held_here(settings: Settings) -> bool:
    """Return whether this very process holds the lock."""
    lock = _locks.get(settings.lock_file)
    return lock is not None and lock._depth > 0


def is_held(settings: Settings) -> bool:
    """Return whether some process, this one included, holds the lock at this instant."""
    return held_here(settings) or is_file_held(settings.lock_file)


def is_held_on_server(con: duckdb.DuckDBPyConnection) -> bool:
    """Return whether some machine holds the lock of the PostgreSQL catalogue that `con` has."""
    found = con.execute(
        f"""
        from postgres_query('__ducklake_metadata_lake', $$
            select count(*) as holders
            from pg_locks
            where locktype = 'advisory' and granted and objsubid = 1
                and classid = {ADVISORY_KEY >> 32} and objid = {ADVISORY_KEY & 0xFFFFFFFF}
                and database = (select oid from pg_database where datname = current_database())
        $$)
        """
    )
    return bool(found.fetchall()[0][0])


def is_file_held(path: Path) -> bool:
    """Return whether some process holds a lock file at this instant; a missing one nobody holds."""
    try:
        descriptor = os.open(path, os.O_RDONLY)  # also where nothing may be written
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def print_to_stderr(message: str) -> None:
    """Show a waiting message to a person without touching a command's output."""
    print(message, file=sys.stderr, flush=True)


def acquire(
    settings: Settings, command: str, on_wait: Callable[[str], None] = print_to_stderr
) -> Callable[[], None]:
    """Take the writer lock and return the function that lets it go.

    Raises:
        LockTimeoutError: it was not free within `BOATHOUSE_LOCK_TIMEOUT` seconds.
        LakeBusyError: the PostgreSQL server of a shared catalogue cannot be reached.
    """
    lock = _locks.setdefault(settings.lock_file, _WriterLock(settings.lock_file))
    lock.acquire(settings, command, on_wait, lambda: False)
    return lock.release


def keep(
    settings: Settings, command: str, is_given_up: Callable[[], bool] = lambda: False
) -> Callable[[], None]:
    """Take the writer lock for all threads of this process; see `acquire`.

    Waiting ends early when `is_given_up` says so. Returns the function that lets the lock go, from
    any thread.
    """
    lock = _locks.setdefault(settings.lock_file, _WriterLock(settings.lock_file))
    lock.acquire(settings, command, print_to_stderr, is_given_up)
    lock.keep()
    return lock.let_go


@contextmanager
def writer(
    settings: Settings, command: str, on_wait: Callable[[str], None] = print_to_stderr
) -> Iterator[None]:
    """Hold the writer lock for the length of a `with` block; see `acquire`."""
    release = acquire(settings, command, on_wait)
    try:
        yield
    finally:
        release()
