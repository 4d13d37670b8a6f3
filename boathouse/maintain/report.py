"""What maintenance did, or would do."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class MaintenanceReport:
    """Tables are named schema.table; with `dry_run` it says what would be done."""

    dry_run: bool
    flushed: Mapping[str, int]  # rows that moved from the catalogue into files, by table
    compacted: tuple[str, ...]
    pruned: Mapping[str, int]  # rows deleted because nobody needs them any more, by table
    snapshots_expired: int
    snapshots_kept: int
    files_removed: int  # no longer used by any snapshot
    orphans_removed: tuple[str, ...]  # unknown to the catalogue
    leftovers_removed: tuple[str, ...]  # of killed processes, and old logs; below the home
    bytes_freed: int  # by files of the lake
    counts_compared: int  # tables at snapshots, counted before and after
    postponed: str = ""  # why files stayed, empty when they did not
    seconds: Mapping[str, float] = field(default_factory=dict)  # by step

    def as_dict(self) -> dict[str, Any]:
        """Return everything as plain values, for JSON."""
        return asdict(self)
