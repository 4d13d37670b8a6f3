"""The real command line, as a person or a job calls it: `python -m boathouse …`, `dbt …`."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from boathouse import lake, lock
from boathouse.release.opened import opened
from boathouse.settings import Settings
from support import forked
from support.homes import REPOSITORY, by_hand, clone

PATIENCE_SECONDS = 300.0  # for what takes seconds on a quiet machine
Done = subprocess.CompletedProcess[str]
Running = subprocess.Popen[str] | forked.Process


@dataclass(frozen=True)
class House:
    """A home and a project, and commands that are run there."""

    project: Path
    home: Path
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def settings(self) -> Settings:
        """Return the same settings for use in this process."""
        return Settings(project=self.project, home=self.home, settle_seconds=0)

    def clone(self, home: Path) -> "House":
        """Return a house with a copy of this home."""
        clone(self.settings, home)
        return House(self.project, home, self.environment)

    def boathouse(
        self, *arguments: str, code: int = 0, as_root: bool = True, **environment: str
    ) -> Done:
        """Run a command to its end; its exit code must be `code`, and it shows no traceback."""
        done = forked.run(
            ["boathouse", *arguments],
            **self.how(environment),
            timeout=PATIENCE_SECONDS,
            as_root=as_root,
        )
        told = f"boathouse {' '.join(arguments)}\n{done.stdout}\n{done.stderr}"
        assert done.returncode == code, f"exit code {done.returncode}: {told}"
        assert "Traceback" not in told, told
        return done

    def json(self, *arguments: str, code: int = 0) -> Any:
        """Run a command with `--json` and return what it printed."""
        return json.loads(self.boathouse(*arguments, "--json", code=code).stdout)

    def dbt(self, *arguments: str, code: int = 0) -> Done:
        """Run dbt as typed by hand in the project's folder."""
        done = forked.run(self._dbt(arguments), **self.how({}), timeout=PATIENCE_SECONDS)
        assert done.returncode == code, f"exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    @contextmanager
    def running(
        self, *arguments: str, program: str = "boathouse", **environment: str
    ) -> Iterator[forked.Process]:
        """Run a command beside the test, and end it when the `with` block is left."""
        commands = {"boathouse": ["boathouse", *arguments], "dbt": self._dbt(arguments)}
        with forked.Process(commands[program], **self.how(environment)) as process:
            yield process

    @contextmanager
    def started(
        self, *arguments: str, program: str = "boathouse", **environment: str
    ) -> Iterator[subprocess.Popen[str]]:
        """Run a command as `running` does, from the start, as a person does."""
        commands = {
            "boathouse": [sys.executable, "-m", "boathouse", *arguments],
            "python": [sys.executable, *arguments],
            "dbt": self._dbt(arguments),
        }
        process = subprocess.Popen(
            commands[program],
            **self.how(environment),
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        try:
            yield process
        finally:
            process.kill()
            process.communicate()

    def _dbt(self, arguments: Sequence[str]) -> list[str]:
        return [str(Path(sys.executable).with_name("dbt")), "--no-use-colors", *arguments]

    def how(self, environment: dict[str, str]) -> dict[str, Any]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("BOATHOUSE_", "DBT_"))}
        ours = {
            "PYTHONPATH": str(REPOSITORY),
            "BOATHOUSE_HOME": str(self.home),
            "BOATHOUSE_SETTLE_SECONDS": "0",
            "BOATHOUSE_THREADS": "1",  # as in the tests' own process
            **by_hand(self.home),
        }
        return {
            "cwd": self.project,
            "env": {**kept, **ours, **self.environment, **environment},
        }

    # -- what is there ---------------------------------------------------------------------

    def drop(self, source: str, name: str, content: str | bytes) -> Path:
        """Put a file into landing, whole at once."""
        path = self.home / "landing" / source / name
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f"{name}.tmp")
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)
        return temporary.replace(path)

    def in_lake(self, query: str) -> list[tuple[Any, ...]]:
        """Return the rows of a query on the lake."""
        with lake.connect(self.settings, read_only=True) as opened:
            return opened.rows(query)

    def released(self, query: str) -> list[tuple[Any, ...]]:
        """Return the rows of a query on the released file, as somebody opening it now sees it."""
        with opened(self.settings.warehouse) as con:
            return con.execute(query).fetchall()

    def wait_for_writer(self, process: Running, command: str) -> None:
        """Return when this process holds the lock, for this command."""

        def is_writing() -> bool:
            holder = lock.holder(self.settings)
            is_it = holder is not None and (holder.pid, holder.command) == (process.pid, command)
            return is_it and lock.is_held(self.settings)

        wait_until(is_writing, f"`{command}` writes", process)

    def wait_for_build(self, process: Running) -> None:
        """Return when a build has been begun and not ended yet."""
        query = "select count(*) from lake.meta.builds where status = 'running'"
        wait_until(lambda: self.in_lake(query) == [(1,)], "a build is running", process, every=0.2)


def wait_until(
    is_so: Callable[[], bool],
    what: str,
    process: Running | None = None,
    *,
    every: float = 0.05,
) -> None:
    """Return when `is_so`, asked so often (seconds), says yes.

    Fails when it takes too long, or the process ends before.
    """
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not is_so():
        if process is not None and process.poll() is not None and not is_so():
            said = "\n".join(filter(None, process.communicate()))
            raise AssertionError(f"ended before {what}:\n{said}")
        assert time.monotonic() < deadline, f"waited in vain until {what}"
        time.sleep(every)


def interrupt(process: Running) -> Done:
    """Press Ctrl-C and return what the process came to."""
    with suppress(ProcessLookupError):
        process.send_signal(signal.SIGINT)
    return finish(process)


def finish(process: Running) -> Done:
    """Return what a process came to once it has ended by itself."""
    stdout, stderr = process.communicate(timeout=PATIENCE_SECONDS)
    return subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)
