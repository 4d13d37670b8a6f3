"""Processes of other people: who may not write everywhere, and who opens files as they like."""

import ctypes
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_DROP = 24  # prctl: PR_CAPBSET_DROP
_VERSION = 0x20080522  # of what capset takes
_OVERRIDES = (1, 2)  # CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH, by which root ignores permissions

_CLIENT = """
import os, sys
import duckdb
try:
    con = duckdb.connect(sys.argv[1], read_only=sys.argv[2] == "read")
    print("open", flush=True)
except duckdb.Error as error:
    print(error, flush=True)
for line in sys.stdin:
    if line == "crash\\n":
        os.kill(os.getpid(), 9)
    try:
        print(con.execute(line).fetchall(), flush=True)
    except duckdb.Error as error:
        print(type(error).__name__, flush=True)
"""


def obey_permissions() -> None:
    """Give up what makes root different, in this process and in the programs that it starts."""
    libc = ctypes.CDLL(None)
    for capability in _OVERRIDES:
        libc.prctl(_DROP, capability, 0, 0, 0)
    libc.capset((ctypes.c_uint32 * 2)(_VERSION, 0), (ctypes.c_uint32 * 6)())


class Client:
    """Another process that has opened a DuckDB file with DuckDB alone; `said` is how that went."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.pid = process.pid
        self.said = self._read()

    def ask(self, query: str) -> str:
        """Return what came of a statement: its rows, or the name of the error."""
        self._write(query)
        return self._read()

    def crash(self) -> None:
        """Let it end at once, with everything as it is."""
        self._write("crash")
        self._process.wait()

    def _write(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()

    def _read(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()


@contextmanager
def client(path: Path, *, mode: str = "default", as_root: bool = True) -> Iterator[Client]:
    """Open a file in another process, until the `with` block is left; `mode` may be `read`."""
    process = subprocess.Popen(
        [sys.executable, "-c", _CLIENT, str(path), mode],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=None if as_root else obey_permissions,
    )
    try:
        yield Client(process)
    finally:
        process.communicate()
