"""Has files read in a process of its own, which may die of them, and takes no other down.

The process is started by the first load, and kept for the next one. What it may take of memory and
of time is watched from outside, so that it holds whatever the process is busy with.

It is a fork where that is safe, which is in a process of one thread: to import what it needs takes
a quarter of a second.
"""

import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from multiprocessing.connection import Connection, Pipe
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:  # so that importing this takes no time: the process is to be started early
    from boathouse.ingest.reading import Found, Job
    from boathouse.settings import Settings

LOOK_SECONDS = 0.05
_PACKAGES = Path(__file__).parents[2]


class ReaderError(Exception):
    """The process that reads files has come to harm, or had to be ended."""


def too_much_memory(settings: "Settings") -> ReaderError:
    """Return what is raised when reading takes more memory than it may."""
    return ReaderError(
        f"reading it takes more than {settings.reader_bytes // 2**20:,} MiB of memory "
        "(BOATHOUSE_READER_BYTES)"
    )


class _Reader:
    """The process, and the line to it."""

    def __init__(self) -> None:
        self._owner = os.getpid()
        self._line, theirs = Pipe()
        with theirs:
            self._process = _forked(theirs) if _has_one_thread() else _started(theirs)

    @property
    def is_usable(self) -> bool:
        if self._owner != os.getpid():
            return False
        return self._process.is_running() and self._process.status() != psutil.STATUS_ZOMBIE

    def read(self, job: "Job") -> "Found | Exception":
        """Return what the process has found, or what it has failed of.

        Raises:
            ReaderError: it has died, or took too much memory or time.
        """
        try:
            self._line.send(job)
            self._wait(job.settings)
            answer: Found | Exception = self._line.recv()
        except (EOFError, OSError) as error:
            code = self._process.wait()
            how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
            raise ReaderError(f"the process that read it has ended ({how})") from error
        return answer

    def _wait(self, settings: "Settings") -> None:
        deadline = time.monotonic() + settings.reader_seconds
        while not self._line.poll(LOOK_SECONDS):
            if time.monotonic() > deadline:
                raise ReaderError(
                    f"reading it takes longer than {settings.reader_seconds:,g} seconds "
                    "(BOATHOUSE_READER_SECONDS)"
                )
            try:
                taken = self._process.memory_info().rss
            except psutil.NoSuchProcess:
                continue  # its end is on the line
            if taken > settings.reader_bytes:
                raise too_much_memory(settings)

    def end(self) -> None:
        """Kill the process, whatever it is at."""
        self._line.close()
        with suppress(psutil.NoSuchProcess):
            self._process.kill()
        self._process.wait()


def _has_one_thread() -> bool:
    threads = Path("/proc/self/task")  # of Linux
    return threads.exists() and len(list(threads.iterdir())) == 1


def _forked(line: Connection) -> psutil.Process:
    from boathouse.ingest import reader

    pid = os.fork()
    if pid:
        return psutil.Process(pid)
    with suppress(BaseException):
        os.setsid()  # Ctrl-C is for the other one to tell us
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        nothing = os.open(os.devnull, os.O_RDWR)
        for standard in range(3):
            os.dup2(nothing, standard)
        # Among them may be the lock of the lake, which is held as long as anybody has it open.
        os.closerange(3, line.fileno())
        os.closerange(line.fileno() + 1, os.sysconf("SC_OPEN_MAX"))
        reader.serve(line)
    os._exit(0)


def _started(line: Connection) -> psutil.Popen:
    path = os.pathsep.join([str(_PACKAGES), *filter(None, [os.environ.get("PYTHONPATH")])])
    return psutil.Popen(
        [sys.executable, "-m", "boathouse.ingest.reader", str(line.fileno())],
        pass_fds=[line.fileno()],
        env={**os.environ, "PYTHONPATH": path},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


class _Idle:
    """The process that waits for the next load."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._reader: _Reader | None = None

    def take(self) -> _Reader:
        with self._lock:
            reader, self._reader = self._reader, None
        return reader if reader and reader.is_usable else _Reader()

    def keep(self, reader: _Reader) -> None:
        with self._lock:
            before, self._reader = self._reader, reader
        if before is not None and before.is_usable:
            before.end()


_idle = _Idle()


def make_ready() -> None:
    """Start the process that reads, if there is none; it takes a moment to be ready."""
    _idle.keep(_idle.take())


def read(job: "Job") -> "Found":
    """Read the files of a job in the other process.

    Raises:
        ContractError: a rule of the contract cannot be run.
        RefusedFileError: the files have more columns than a table can have.
        ReaderError: the process died of it, or took too much memory or time.
    """
    reader = _idle.take()
    try:
        answer = reader.read(job)
    except BaseException:
        reader.end()
        raise
    _idle.keep(reader)
    if isinstance(answer, Exception):
        raise answer
    return answer
