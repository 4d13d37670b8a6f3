"""What the doctor finds, and how a check that breaks down becomes a finding too."""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal

import duckdb

from boathouse.errors import BoathouseError
from boathouse.settings import Settings
from boathouse.surroundings import as_expected

Level = Literal["ok", "warning", "problem"]


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    area: str  # such as lock, catalogue, files, archive, build, release, disk
    level: Level
    what: str
    to_do: str = ""


@dataclass(frozen=True)
class Diagnosis:
    """Everything `boathouse doctor` found."""

    home: str
    findings: tuple[Finding, ...]

    @property
    def is_well(self) -> bool:
        """Return whether nothing is a problem; a warning is none."""
        return all(finding.level != "problem" for finding in self.findings)

    def as_dict(self) -> dict[str, Any]:
        """Return everything as plain values, for JSON."""
        return asdict(self)


def found(
    settings: Settings, area: str, check: Callable[[], Iterator[Finding]]
) -> Iterator[Finding]:
    """Yield what a check finds; a check that cannot be made is a problem of its own."""
    try:
        yield from check()
    except BoathouseError as error:
        yield Finding(area, "problem", error.message, error.hint)
    except (OSError, ValueError, duckdb.Error) as error:
        expected = as_expected(error, settings)
        if expected is not None:
            yield Finding(area, "problem", expected.message, expected.hint)
            return
        yield Finding(
            area,
            "problem",
            f"This could not be looked at: {error}",
            "If the message does not say what to do, restore a backup: `boathouse restore`.",
        )
