"""Starts the console's process for a query, waits for it no longer than allowed, and ends it."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import polars as pl
import pyarrow as pa

from boathouse.errors import BoathouseError
from dashboards.console.guard import MOST_CHARACTERS

REPOSITORY = Path(__file__).resolve().parents[2]
MOST_AT_ONCE = 4
_WAIT_SECONDS = 20.0
_LOOK_SECONDS = 0.5
_places = threading.BoundedSemaphore(MOST_AT_ONCE)


class ConsoleError(BoathouseError):
    """A query was refused, failed, or was ended at a limit."""


@dataclass(frozen=True)
class Limits:
    """How much one query may take."""

    seconds: int = 20
    memory_mib: int = 1_024
    threads: int = 1
    rows: int = 10_000
    bytes: int = 16 * 2**20


@dataclass(frozen=True)
class Result:
    """The rows of a query, and what they took."""

    frame: pl.DataFrame
    is_cut: bool  # there are more rows than were taken
    seconds: float


def run(
    path: Path,
    sql: str,
    macros: frozenset[str] = frozenset(),
    limits: Limits | None = None,
    *,
    on_wait: Callable[[], None] = lambda: None,
) -> Result:
    """Return what a query on a released file gives.

    Args:
        path: the released file.
        sql: one statement that only reads.
        macros: the release's table macros, which may be called.
        limits: how much it may take.
        on_wait: called twice a second until there is an answer; what it raises ends the query.

    Raises:
        ConsoleError: it was refused, failed, or went beyond a limit; says which.
    """
    limits = limits or Limits()
    if len(sql) > MOST_CHARACTERS:
        raise ConsoleError(f"The text is longer than {MOST_CHARACTERS:,} characters.")
    deadline = time.monotonic() + _WAIT_SECONDS
    while not _places.acquire(timeout=_LOOK_SECONDS):
        if time.monotonic() >= deadline:
            raise ConsoleError(
                f"{MOST_AT_ONCE} queries of other people are running.",
                hint="Try again in a moment.",
            )
        on_wait()
    try:
        started = time.monotonic()
        output = _call(path, sql, macros, limits, on_wait)
        return _read(output, time.monotonic() - started)
    finally:
        _places.release()


def _call(
    path: Path,
    sql: str,
    macros: frozenset[str],
    limits: Limits,
    on_wait: Callable[[], None],
) -> bytes:
    asked = {"path": str(path), "sql": sql, "macros": sorted(macros), **asdict(limits)}
    request = json.dumps(asked).encode()
    process = subprocess.Popen(
        [sys.executable, "-m", "dashboards.console.child"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd="/",
        env={"PYTHONPATH": _import_path()},
        start_new_session=True,
    )
    try:
        output = _answer(process, request, limits.seconds, on_wait)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    if not output:
        raise ConsoleError(
            f"The query was ended: it went beyond {limits.memory_mib:,} MiB of memory or another "
            "limit of its process.",
            hint="Ask for less: filter, or aggregate before joining.",
        )
    return output


def _answer(
    process: "subprocess.Popen[bytes]", request: bytes, seconds: int, on_wait: Callable[[], None]
) -> bytes:
    deadline = time.monotonic() + seconds
    unsent: bytes | None = request
    while True:
        try:
            output, _ = process.communicate(unsent, timeout=_LOOK_SECONDS)
            return output
        except subprocess.TimeoutExpired:
            unsent = None  # `communicate` goes on with what it has begun to send
        if time.monotonic() >= deadline:
            raise ConsoleError(
                f"The query was ended after {seconds} s.",
                hint="Ask for less: filter by time, or count in place of listing.",
            )
        on_wait()


def _import_path() -> str:
    return os.pathsep.join([str(REPOSITORY), *filter(None, sys.path)])


def _read(output: bytes, seconds: float) -> Result:
    head, _, body = output.partition(b"\n")
    facts = json.loads(head)
    if "error" in facts:
        raise ConsoleError(_told(facts["error"]))
    frame = pl.DataFrame(pa.ipc.open_stream(body).read_all().rename_columns(facts["columns"]))
    return Result(frame, facts["is_cut"], seconds)


def _told(message: str) -> str:
    """Return DuckDB's message with a word on what it means here."""
    if "Out of Memory" in message or "Out of memory" in message:
        return "The query needs more memory than it may have. Filter, or aggregate before joining."
    return message
