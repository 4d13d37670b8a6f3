"""Released files, opened for a moment by an engine that this process keeps for it."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

from boathouse.sql import identifier, literal

_lock = threading.Lock()
_idle: list[duckdb.DuckDBPyConnection] = []  # one at most: a new one costs ten times the look


@contextmanager
def opened(path: Path, name: str = "released") -> Iterator[duckdb.DuckDBPyConnection]:
    """Attach a released file, to be read, under a name that need not be said, for a `with` block.

    Raises:
        duckdb.Error: it is no file that this DuckDB can read.
    """
    with _lock:
        engine = _idle.pop() if _idle else duckdb.connect()
    try:
        with engine.cursor() as con:
            con.execute(f"attach {literal(str(path))} as {identifier(name)} (read_only)")
            con.execute(f"use {identifier(name)}")
            yield con
            con.execute("use memory")
            con.execute(f"detach {identifier(name)}")
    except BaseException:
        engine.close()
        raise
    with _lock:
        if not _idle:
            _idle.append(engine)
            return
    engine.close()
