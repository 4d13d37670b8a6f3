"""What was measured, as a document: one section of `docs/benchmarks.md` for each benchmark."""

import os
import platform
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from benchmarks.measure import Samples

INTRODUCTION = """\
# Benchmarks

What Boathouse costs, measured beside what it is compared with. Written by `make benchmark`; do
not edit.

- **How it is measured.** Every run is a process of its own in a fresh folder; what is compared
  runs in turns (A B A B …). Shown is the median, with the fastest and the slowest run in brackets.
  Seconds count from call to return: starting Python and importing do not count unless a row says
  so. Peak memory is the most that the process ever held, as the operating system counts it,
  Python and its libraries included, and the most that the process held which reads files for it.
  What is read was written just before, so it comes from the operating system's cache for everybody;
  DuckDB has the same limits of threads and memory.
- **How to repeat it.** `make benchmark`, or `.venv/bin/python -m benchmarks one_more_day` for one
  section; `--work FOLDER` says where its temporary files go (20 GB), `--quick` tries everything
  in small and prints instead of writing here. The rows of a benchmark compare with each other,
  not with those of another machine or another hour.
"""


@dataclass(frozen=True)
class Limit:
    """What a value must not exceed, or must reach."""

    text: str
    is_met: bool

    @classmethod
    def at_most(cls, value: float, most: float, unit: str = " ×") -> "Limit":
        """Return the limit that `value` is at most `most`."""
        return cls(f"≤ {most:g}{unit}", value <= most)

    @classmethod
    def at_least(cls, value: float, least: float, unit: str = " ×") -> "Limit":
        """Return the limit that `value` is at least `least`."""
        return cls(f"≥ {least:g}{unit}", value >= least)


@dataclass(frozen=True)
class Row:
    """One line of a table."""

    what: str
    size: str = ""
    seconds: Sequence[float] = ()
    ratio: str = ""
    limit: Limit | None = None
    peak_mib: float | None = None

    @classmethod
    def of(cls, what: str, size: str, samples: Samples, fact: str = "seconds") -> "Row":
        """Return the row of a thing that was measured by itself."""
        return cls(what, size, samples.values(fact), peak_mib=samples.peak_mib)

    def cells(self) -> list[str]:
        """Return the row's cells as text."""
        return [
            self.what,
            self.size,
            spread(self.seconds),
            self.ratio,
            self.limit.text if self.limit else "",
            ("yes" if self.limit.is_met else "**no**") if self.limit else "",
            f"{self.peak_mib:,.0f} MiB" if self.peak_mib is not None else "",
        ]


@dataclass
class Section:
    """What one benchmark has to tell."""

    introduction: str
    rows: list[Row] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def as_markdown(self, heading: str) -> str:
        """Return the section as it stands in the document."""
        head = ["what", "size", "seconds", "ratio", "limit", "met", "peak memory"]
        table = [head, ["---"] * len(head), *(row.cells() for row in self.rows)]
        lines = [f"| {' | '.join(cells)} |" for cells in table]
        notes = ["", *(f"- {note}" for note in self.notes)] if self.notes else []
        about = f"Measured {datetime.now(UTC):%Y-%m-%d %H:%M} UTC on {machine()}."
        return "\n".join([f"## {heading}", "", self.introduction, "", about, "", *lines, *notes])


def spread(values: Sequence[float]) -> str:
    """Return the median and, of several values, the least and the greatest."""
    if not values:
        return ""
    ordered = sorted(values)
    middle = (ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) / 2
    if len(ordered) == 1:
        return f"{middle:.2f}"
    return f"{middle:.2f} ({ordered[0]:.2f}–{ordered[-1]:.2f})"


def machine() -> str:
    """Return the machine by cores and memory, and the versions that count."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"{os.cpu_count()} cores, {memory:.0f} GiB of memory, {platform.system()} "
        f"{platform.machine()}; DuckDB {version('duckdb')}, dbt {version('dbt-core')}, "
        f"Python {platform.python_version()}"
    )


def update(path: Path, sections: Mapping[str, str], order: Sequence[str]) -> None:
    """Write sections into the document; those of benchmarks that did not run now stay."""
    known = path.read_text(encoding="utf-8") if path.exists() else ""
    parts = re.split(r"^## ", known, flags=re.MULTILINE)[1:]
    kept = {part.partition("\n")[0]: f"## {part.strip()}" for part in parts}
    merged = {**kept, **sections}
    texts = [merged[name] for name in order if name in merged]
    path.write_text("\n\n".join([INTRODUCTION.strip(), *texts]) + "\n", encoding="utf-8")
