"""Runs things in processes of their own and tells how long they took and how much memory.

Nothing here knows what is measured. A measured function says itself how many `seconds` it took
(so that the start of its process and its imports do not count) and may return more facts.
"""

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[1]

Facts = dict[str, Any]  # what a measured function returns: JSON, with its `seconds`


class BenchmarkError(Exception):
    """A benchmark could not be run, or what it ran did something else than it should."""


@dataclass(frozen=True)
class Finished:
    """A process that ended well."""

    seconds: float  # the whole of it
    peak_mib: float
    output: str


@dataclass(frozen=True)
class Sample:
    """One measured run."""

    facts: Facts
    peak_mib: float

    @property
    def seconds(self) -> float:
        """Return the seconds that the measured function has counted."""
        return float(self.facts["seconds"])


@dataclass
class Samples:
    """The runs of one thing."""

    each: list[Sample] = field(default_factory=list)

    def values(self, fact: str = "seconds") -> list[float]:
        """Return a fact of every run."""
        return [float(sample.facts[fact]) for sample in self.each]

    def median(self, fact: str = "seconds") -> float:
        """Return the median of a fact."""
        return statistics.median(self.values(fact))

    @property
    def peak_mib(self) -> float:
        """Return the highest peak of memory."""
        return max(sample.peak_mib for sample in self.each)


@dataclass(frozen=True)
class Task:
    """Something to measure: a function, and what makes the folder it works in ready for it."""

    function: Callable[..., Facts]
    prepare: Callable[[Path], object] = lambda _: None
    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Bench:
    """Where the benchmarks run and how large they are."""

    work: Path
    quick: bool

    def size(self, full: int, quick: int) -> int:
        """Return the size for this run."""
        return quick if self.quick else full

    @contextmanager
    def folder(self, name: str) -> Iterator[Path]:
        """Make an empty folder and remove it afterwards."""
        path = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=self.work))
        try:
            yield path
        finally:
            shutil.rmtree(path)

    def need_disk(self, size: float) -> None:
        """Raise a BenchmarkError when the work folder has not so many bytes free."""
        free = shutil.disk_usage(self.work).free
        if free < size:
            gib = f"{size / 2**30:.0f} GiB free in {self.work}, there are {free / 2**30:.0f}"
            raise BenchmarkError(f"This needs {gib}. Give another folder with --work.")

    def call(self, function: Callable[..., Facts], **arguments: Any) -> Sample:
        """Run a function in a process of its own and return what it returned."""
        with self.folder("call") as here:
            request = here / "request.json"
            answer = here / "answer.json"
            name = f"{function.__module__}:{function.__qualname__}"
            asked = {"function": name, "arguments": arguments, "answer": answer}
            request.write_text(json.dumps(asked, default=str))
            done = self.process([sys.executable, "-m", "benchmarks.child", str(request)], here)
            facts = json.loads(answer.read_text())
            return Sample(facts, done.peak_mib + facts.pop("helpers_mib"))

    def once(self, function: Callable[..., Facts], **arguments: Any) -> Facts:
        """Return what a function made in a `folder` that all benchmarks of this run share."""
        parts = [function.__name__, *(f"{name}={value}" for name, value in arguments.items())]
        folder = self.work / "-".join(parts)
        finished = folder / "facts.json"
        if not finished.exists():
            folder.mkdir()
            facts = self.call(function, folder=folder, **arguments).facts
            finished.write_text(json.dumps({**facts, "folder": str(folder)}))
        made: Facts = json.loads(finished.read_text())
        return made

    def process(self, command: Sequence[str], cwd: Path, **environment: str) -> Finished:
        """Run a command and return its time, its peak of memory and its output.

        Raises:
            BenchmarkError: it failed; says the end of what it printed.
        """
        said, complained = cwd / "output.txt", cwd / "errors.txt"
        with said.open("w") as out, complained.open("w") as err:
            started = time.perf_counter()
            child = subprocess.Popen(
                command,
                cwd=cwd,
                env=process_environment(self, environment),
                stdout=out,
                stderr=err,
            )
            try:
                _, status, usage = os.wait4(child.pid, 0)
            except BaseException:
                child.kill()
                child.wait()
                raise
            seconds = time.perf_counter() - started
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode != 0:
            told = (said.read_text() + complained.read_text()).strip().splitlines()[-30:]
            raise BenchmarkError("\n".join([f"{' '.join(command)} failed:", *told]))
        kib = usage.ru_maxrss / 1024 if sys.platform == "darwin" else usage.ru_maxrss
        return Finished(seconds, kib / 1024, said.read_text())

    def compare(self, tasks: Mapping[str, Task], repetitions: int) -> dict[str, Samples]:
        """Measure tasks in turns (A B A B …), each run in a fresh folder, and return the runs."""
        found = {name: Samples() for name in tasks}
        for number in range(repetitions):
            for name, task in tasks.items():
                with self.folder("run") as folder:
                    task.prepare(folder)
                    os.sync()  # what was just written must not be written during the run
                    sample = self.call(task.function, folder=folder, **task.arguments)
                found[name].each.append(sample)
                tell(f"  {number + 1}/{repetitions} {name}: {sample.seconds:.3f} s")
        return found


def process_environment(bench: Bench, environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a measured process; what is temporary stays in the work folder.

    The process runs in a folder of its own, where there is no `.env`.
    """
    own = {
        "PYTHONPATH": str(REPOSITORY),
        "PYTHONPYCACHEPREFIX": str(bench.work / "pycache"),
        "TMPDIR": str(bench.work),
    }
    return {**_without_settings(os.environ), **own, **environment}


def _without_settings(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment without what would change how Python, Boathouse or dbt work."""
    return {
        name: value
        for name, value in environment.items()
        if name == "BOATHOUSE_SHARED_DATA" or not name.startswith(("BOATHOUSE_", "DBT_", "PYTHON"))
    }


def tell(message: str) -> None:
    """Show a person how far it is."""
    print(message, file=sys.stderr, flush=True)
