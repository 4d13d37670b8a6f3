"""`python -m orchestration [--host H] [--port P]`: the UI and the daemon, until Ctrl-C."""

import argparse
import ctypes
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

from filelock import FileLock, Timeout

from boathouse.errors import BoathouseError, UsageError
from boathouse.settings import Settings
from orchestration.instance import write_configuration, write_workspace

PATIENCE_SECONDS = 30.0  # for runs to be ended and databases to be closed
_PR_SET_PDEATHSIG = 1  # of linux/prctl.h


def main() -> int:
    """Serve until asked to end; returns 0 then, else the code of what has ended it."""
    options = _options()
    try:
        settings = Settings()
        home = settings.home_folder / "dagster"
        write_configuration(home)
        with _only_one(home):
            return _serve(settings, home, options.host, options.port)
    except BoathouseError as error:
        print(f"✗ {error}", file=sys.stderr)
        return error.exit_code


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m orchestration", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1", help="where to listen [127.0.0.1]")
    parser.add_argument("--port", type=int, default=3000, help="at which port [3000]")
    return parser.parse_args()


class _only_one:  # noqa: N801 - reads as what it is, in a `with`
    """Holds a home's Dagster for this process alone."""

    def __init__(self, home: Path) -> None:
        self._lock = FileLock(home / "serving.lock")

    def __enter__(self) -> None:
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            raise UsageError(
                f"Dagster is open already for {Path(self._lock.lock_file).parent}.",
                hint="Use that one, or end it first.",
            ) from None

    def __exit__(self, *_: object) -> None:
        self._lock.release()


def environment(settings: Settings, home: Path, address: str) -> dict[str, str]:
    """Return the environment of Dagster's processes: our home, and nothing sent anywhere."""
    python_path = os.pathsep.join(
        filter(None, [str(Path(__file__).resolve().parents[1]), os.environ.get("PYTHONPATH")])
    )
    return {
        **os.environ,
        "BOATHOUSE_HOME": str(settings.home_folder),
        "BOATHOUSE_PROJECT": str(settings.project.absolute()),
        "BOATHOUSE_ALERT_LINK": settings.alert_link or address,
        "DAGSTER_HOME": str(home),
        "DAGSTER_DISABLE_TELEMETRY": "yes",
        # Of a process with many threads glibc keeps in a heap for each what was freed there.
        "MALLOC_ARENA_MAX": os.environ.get("MALLOC_ARENA_MAX", "2"),
        "PYTHONPATH": python_path,
        "PYTHONWARNINGS": "ignore",
    }


def _serve(settings: Settings, home: Path, host: str, port: int) -> int:
    command = [
        *(sys.executable, "-m", "dagster", "dev"),
        *("--workspace", str(write_workspace(home))),
        *("--host", host, "--port", str(port), "--log-level", "warning"),
    ]
    address = f"http://{host}:{port}"
    variables = environment(settings, home, address)
    # Without a project there would be an empty page, and nobody who sends alerts.
    checked = subprocess.run(
        [sys.executable, "-m", "orchestration.check"], env=variables, check=False
    )
    if checked.returncode:
        return checked.returncode
    print(f"Dagster opens at {address} in a few seconds. Ctrl-C ends it.", flush=True)
    stop = _Stop()
    # A session of its own, so that Ctrl-C reaches us alone and we end all of it in order.
    child = subprocess.Popen(
        command,
        env=variables,
        cwd=home,
        start_new_session=True,
        preexec_fn=_end_with_parent,
    )
    try:
        while child.poll() is None and not stop.asked:
            time.sleep(0.2)
    finally:
        _end(child)
    if stop.asked:
        return 0
    print(
        f"✗ Dagster has ended by itself (exit code {child.returncode}): one of its processes was "
        "killed or could not go on; see above. Start it again.",
        file=sys.stderr,
    )
    return child.returncode or 1


def _end_with_parent() -> None:
    """Have Linux interrupt this process when its parent ends, even by SIGKILL: prctl(2)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGINT)


class _Stop:
    """Set when a person or the system asks this process to end."""

    def __init__(self) -> None:
        self.asked = False
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._ask)

    def _ask(self, *_: object) -> None:
        self.asked = True


def _end(child: "subprocess.Popen[bytes]") -> None:
    """End Dagster and all of its session: first politely, then what has not ended by itself."""
    with suppress(ProcessLookupError):
        child.send_signal(signal.SIGINT)
    with suppress(subprocess.TimeoutExpired):
        child.wait(PATIENCE_SECONDS)
    with suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()


if __name__ == "__main__":
    sys.exit(main())
