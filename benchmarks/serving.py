"""A server of ours in a process of its own, for benchmarks that ask it."""

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from benchmarks import homes
from benchmarks.measure import REPOSITORY, BenchmarkError

PATIENCE_SECONDS = 60


@dataclass(frozen=True)
class Server:
    """A server that answers."""

    port: int
    pid: int


@contextmanager
def served(module: str, folder: str, health: str, **environment: str) -> Iterator[Server]:
    """Run `python -m <module>` on the home in a folder until the `with` block ends.

    Raises:
        BenchmarkError: it ended, or its path `health` did not answer in time.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    home = str(homes.settings_in(folder).home_folder)
    process = subprocess.Popen(
        [sys.executable, "-m", module, "--port", str(port)],
        cwd=REPOSITORY,
        env={**os.environ, "BOATHOUSE_HOME": home, **environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait(f"http://127.0.0.1:{port}{health}", process)
        yield Server(port, process.pid)
    finally:
        process.terminate()
        process.wait()


def _wait(address: str, process: "subprocess.Popen[bytes]") -> None:
    until = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < until:
        try:
            with urllib.request.urlopen(address, timeout=5):
                return
        except OSError:
            if process.poll() is not None:
                raise BenchmarkError(f"The server of {address} ended at once.") from None
            time.sleep(0.1)
    raise BenchmarkError(f"{address} does not answer.")
