"""The one writer lock: whoever changes the lake holds it, whatever started them.

The lock is a file lock, which the operating system drops when its process dies. With a shared
PostgreSQL catalogue one in that database is held as well, so that two machines exclude each other:
see `boathouse.shared_lock`. The lock is re-entrant within a process.
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
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Concatenate, ParamSpec, TypeVar

from filelock import FileLock, Timeout

from boathouse.errors import LakeError, LockLostError, LockTimeoutError
from boathouse.settings import Settings

if TYPE_CHECKING:
    import duckdb

    from boathouse.shared_lock import SharedLock

POLL_SECONDS = 0.1
MOST_TRIES = 3  # of work whose lock was lost

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Holder:
    """Who holds the lock, as a waiting command shows it."""

    command: str
    pid: int
    host: str
    since: str  # UTC, to the microsecond
    home: str = ""  # of one that shares its catalogue with others

    def __str__(self) -> str:
        if not self.since:
            return "another machine"
        where = f"{self.host}, home {self.home}" if self.home else self.host
        return f"`{self.command}` (process {self.pid} on {where}, since {self.since[:19]} UTC)"


class _WriterLock:
    """One process's hold on the lock of one home; counts how often it was taken."""

    def __init__(self, path: Path) -> None:
        _require_writable(path.parent)
        self._file = FileLock(path, thread_local=False)
        self._threads = threading.RLock()
        self.shared: SharedLock | None = None
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
                    self._acquire_shared(command, on_wait, deadline)
                    self._note_holder(command)
                except BaseException:
                    self._drop()
                    raise
            else:
                self.require()
            self._depth += 1
        except BaseException:
            self._threads.release()
            raise

    def require(self) -> None:
        """Do nothing unless the lock was lost; only one that others share can be."""
        if self.shared is not None:
            self.shared.require()

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
        if self.shared is not None:
            self.shared.close()
            self.shared = None
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

    def _acquire_shared(
        self, command: str, on_wait: Callable[[str], None], deadline: float
    ) -> None:
        if self._settings.postgres is None:
            return
        from boathouse import shared_lock  # PostgreSQL's client takes a tenth of a second

        told = False

        def pause(writing: Callable[[], str]) -> None:
            nonlocal told
            if not told:
                who = writing() or "another machine"
                on_wait(f"Waiting for another machine: {who} is writing to the shared catalogue …")
                told = True
            self._pause(deadline, writing)

        self.shared = shared_lock.SharedLock(self._settings)
        self.shared.acquire(asdict(self._holder(command)), pause)

    def _pause(self, deadline: float, writing: Callable[[], str] | None = None) -> None:
        """Wait a little before the next attempt, if there may be one."""
        if time.monotonic() > deadline or self._is_given_up():
            raise self._timed_out(writing() if writing else "")
        time.sleep(POLL_SECONDS)

    def _holder(self, command: str) -> Holder:
        since = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")
        home = str(self._settings.home_folder) if self._settings.postgres is not None else ""
        return Holder(command, os.getpid(), socket.gethostname(), since, home)

    def _note_holder(self, command: str) -> None:
        temporary = _holder_file(self._settings).with_suffix(f".{os.getpid()}")
        temporary.write_text(json.dumps(asdict(self._holder(command))))
        temporary.replace(_holder_file(self._settings))

    def _timed_out(self, writer: str = "") -> LockTimeoutError:
        return LockTimeoutError(
            f"Gave up after {self._settings.lock_timeout:.0f} s: "
            f"{writer or holder(self._settings) or 'another process'} is still writing.",
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


def shared_holder(con: "duckdb.DuckDBPyConnection") -> Holder | None:
    """Return who holds the lock of a catalogue in PostgreSQL; None when nobody does.

    Who has not noted anything is held to be somebody, `since` nobody knows when.

    Args:
        con: Where the catalogue is attached.
    """
    from boathouse import shared_lock

    noted = shared_lock.holder(con)
    if noted is None:
        return None
    return Holder(**noted) if noted else Holder("", 0, "", "")


def token(settings: Settings) -> int | None:
    """Return what commits of this process carry, to be told from those of an earlier writer."""
    lock = _locks.get(settings.lock_file)
    return lock.shared.token if lock is not None and lock.shared is not None else None


def fence(settings: Settings) -> bool:
    """Let a shared catalogue, known to be the right one, refuse commits of earlier writers.

    Returns whether this process holds its lock, and the catalogue did not do so before.
    """
    lock = _locks.get(settings.lock_file)
    return lock is not None and lock.shared is not None and lock.shared.fence()


def require(settings: Settings) -> None:
    """Do nothing unless this process held the lock of a shared catalogue and has lost it.

    Raises:
        LockLostError: says to whom.
    """
    lock = _locks.get(settings.lock_file)
    if lock is not None and lock._depth > 0:
        lock.require()


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
        LockLostError: this process held that of a shared catalogue, and has lost it.
        UnreachableError, DeniedError: the server of a shared catalogue does not let us in.
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
    """Hold the writer lock for the length of a `with` block; see `acquire`.

    Raises:
        LockLostError: whatever has failed in the block did so after the lock was lost.
    """
    release = acquire(settings, command, on_wait)
    try:
        yield
    except Exception:
        require(settings)
        raise
    finally:
        release()


def starting_over(
    work: Callable[Concatenate[Settings, Arguments], Result],
) -> Callable[Concatenate[Settings, Arguments], Result]:
    """Let a function that takes the lock begin again when it has lost it, a few times."""

    @wraps(work)
    def begin(settings: Settings, /, *args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        for _ in range(MOST_TRIES - 1):
            if held_here(settings):
                break  # who took it begins again
            try:
                return work(settings, *args, **kwargs)
            except LockLostError as error:
                print_to_stderr(f"{error.message} Starting over …")
        return work(settings, *args, **kwargs)

    return begin
