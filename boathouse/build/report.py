"""What came out of a build, in the terms of a person who has to do something about it."""

import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent, indent

from boathouse.errors import BuildError

GREEN = ("success", "pass", "warn", "no-op")
# How the command of a build ends that was told that marts may lose rows, up to the next release.
ALLOW_SHRINK = " --allow-shrink"
INTERRUPTED = "interrupted"  # of a build that ended before it was done, and of what it has not done
_SHOWN = 20
_MOST_LINES = 40  # that a result is told in, beyond its first
# How dbt begins before it says what happened.
_EMPTY_WORDS = re.compile(
    r"(Runtime|Compilation|Database) Error( in .*)?$|An error occurred during execution of unit"
)


@dataclass(frozen=True)
class NodeProgress:
    """A node that has just been started or finished; `status` is `started` or its result."""

    name: str
    kind: str
    status: str
    index: int  # of this node among those of the build, from 1, in the order of starting
    total: int
    seconds: float


OnProgress = Callable[[NodeProgress], None]


@dataclass(frozen=True)
class NodeResult:
    """What became of one model, seed, snapshot or test."""

    unique_id: str
    name: str
    kind: str
    status: str
    seconds: float
    message: str
    path: Path  # of the file to look at, relative to the project
    failures: int | None = None  # offending rows, of a test that ran

    @property
    def is_green(self) -> bool:
        """Return whether this result stands in the way of nothing."""
        return self.status in GREEN

    @property
    def told(self) -> str:
        """Return all that dbt said of it, but for that there was an error."""
        lines = [line for line in self.message.splitlines() if line.strip()]
        telling = [line for line in lines if not _EMPTY_WORDS.match(line.strip())]
        first, *more = dedent("\n".join(telling or lines or [self.status])).splitlines()
        if len(more) > _MOST_LINES:
            more[_MOST_LINES:] = [f"… and {len(more) - _MOST_LINES} more lines, in dbt's log"]
        return "\n".join([first.strip(), *(f"    {line}" for line in more)])

    def __str__(self) -> str:
        kind = self.kind.replace("_", " ")
        rows = f" [{self.failures:,} rows]" if self.failures else ""
        return f"{kind} {self.name} ({self.path.as_posix()}){rows}: {self.told}"


@dataclass(frozen=True)
class BuildReport:
    """One build: its results in the order in which they came, and where its seconds went."""

    build_id: int
    results: tuple[NodeResult, ...]
    start_seconds: float  # dbt's own: parsing, connecting, choosing
    node_seconds: float  # from the first node's start to the last one's end
    seconds: float  # all of it
    compiled: Path  # folder of the SQL as it was run

    @property
    def is_green(self) -> bool:
        """Return whether every node came out well; a warning is well enough."""
        return all(result.is_green for result in self.results)

    @property
    def failed(self) -> tuple[NodeResult, ...]:
        """Return the nodes that failed by themselves, not those skipped because of them."""
        return tuple(r for r in self.results if not r.is_green and r.status != "skipped")

    @property
    def counts(self) -> Mapping[str, Mapping[str, int]]:
        """Return how many nodes of each kind came out with each status."""
        by_kind: dict[str, Counter[str]] = {}
        for result in self.results:
            by_kind.setdefault(result.kind, Counter())[result.status] += 1
        return by_kind

    def require_green(self) -> None:
        """Do nothing when all is green.

        Raises:
            BuildError: names what failed, with its file and what it said.
        """
        if self.is_green:
            return
        failed = self.failed or self.results
        skipped = sum(result.status == "skipped" for result in self.results)
        lines = [indent(str(result), "  ") for result in failed[:_SHOWN]]
        if len(failed) > _SHOWN:
            lines.append(f"  … and {len(failed) - _SHOWN} more")
        also = f", {skipped} skipped because of them" if skipped else ""
        raise BuildError(
            f"Build {self.build_id}: {len(failed)} of {len(self.results)} nodes failed{also}:\n"
            + "\n".join(lines),
            hint=f"Mend the files named above and run it again. The SQL that ran: {self.compiled}",
            report=self,
        )
