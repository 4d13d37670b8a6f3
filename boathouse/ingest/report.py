"""What a load did, per source, for people and machines."""

from dataclasses import asdict, dataclass, field
from typing import Any

from boathouse.errors import BoathouseError
from boathouse.ingest.deliveries import Delivery

MOST_PROBLEMS = 1000
UNEXPECTED = "unexpected: "  # how the reason begins of a file that may be as it should be


@dataclass
class Outcome:
    """What became of one file."""

    file: Delivery
    sha256: str
    status: str  # loaded | rejected | duplicate | unfinished
    reason: str = ""
    rows_read: int = 0
    rows_loaded: int = 0
    rows_rejected: int = 0
    load_id: int = 0
    is_known_verdict: bool = False  # the ledger has this very rejection already

    def set_aside(self, reason: str, status: str = "rejected") -> None:
        """Load nothing of the file, whatever was read of it."""
        self.status, self.reason = status, reason
        self.rows_read = self.rows_loaded = self.rows_rejected = 0


@dataclass(frozen=True)
class Problem:
    """A file that was not loaded whole, and why."""

    source: str
    file: str
    status: str
    rows_rejected: int
    reason: str


@dataclass
class SourceReport:
    """Counts of one source; files and rows."""

    files_loaded: int = 0
    files_rejected: int = 0
    files_duplicate: int = 0
    files_recovered: int = 0  # loaded by a run that was cut short, now moved to the archive
    rows_read: int = 0
    rows_loaded: int = 0
    rows_rejected: int = 0
    load_ids: list[int] = field(default_factory=list)  # in the ledger, of these files


@dataclass
class LoadReport:
    """Everything a load did."""

    sources: dict[str, SourceReport] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    left_alone: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    trouble: BoathouseError | None = None  # why not all that waits could be looked at, or taken
    seconds: float = 0.0

    def _source(self, source: str) -> SourceReport:
        return self.sources.setdefault(source, SourceReport())

    def add(self, source: str, outcome: Outcome) -> None:
        """Count one file."""
        counts = self._source(source)
        match outcome.status:
            case "loaded":
                counts.files_loaded += 1
            case "duplicate":
                counts.files_duplicate += 1
            case _:
                counts.files_rejected += 1
        if outcome.load_id not in counts.load_ids:
            counts.load_ids.append(outcome.load_id)
        counts.rows_read += outcome.rows_read
        counts.rows_loaded += outcome.rows_loaded
        counts.rows_rejected += outcome.rows_rejected
        if outcome.status != "loaded" or outcome.rows_rejected:
            self._tell(
                source, outcome.file.name, outcome.status, outcome.rows_rejected, outcome.reason
            )

    def keep(self, source: str, file: str, rows: int, reason: str) -> None:
        """Tell of rejected rows of a file that could not be loaded again."""
        self._tell(source, file, "kept", rows, reason)

    def _tell(self, source: str, file: str, status: str, rows: int, reason: str) -> None:
        if len(self.problems) < MOST_PROBLEMS:
            self.problems.append(Problem(source, file, status, rows, reason))

    def add_recovered(self, source: str) -> None:
        """Count a file that an interrupted run had loaded already."""
        self._source(source).files_recovered += 1

    @property
    def unread(self) -> list[Problem]:
        """Return the files that were set aside for what nobody has foreseen."""
        return [each for each in self.problems if each.reason.startswith(UNEXPECTED)]

    @property
    def has_changes(self) -> bool:
        """Return whether any row reached or left the lake's raw tables."""
        return any(counts.files_loaded for counts in self.sources.values())

    @property
    def has_rejects(self) -> bool:
        """Return whether any row or file was rejected."""
        return any(c.rows_rejected or c.files_rejected for c in self.sources.values())

    def require_reached(self) -> None:
        """Do nothing when all that waits could be looked at and taken; all else is done.

        Raises:
            DeniedError, UnreachableError: `BOATHOUSE_LANDING` does not let us in, or answer.
        """
        if self.trouble is not None:
            raise self.trouble

    def as_dict(self) -> dict[str, Any]:
        """Return everything as plain values, for JSON."""
        return {**asdict(self), "trouble": str(self.trouble) if self.trouble else None}
