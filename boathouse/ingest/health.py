"""Whether a source's loads look right: they add up, few records are rejected, the size is usual.

Judged from the ledger, `meta.loads`, and the rows it speaks of.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from statistics import median

from boathouse.contracts import Contract
from boathouse.ingest import ledger
from boathouse.lake import Lake
from boathouse.sql import literal

MOST_REJECTED = 0.05  # demo and real deliveries stay below 2 %
_HISTORY = 100  # files: enough to know what is usual, recent enough to follow growth
_LEAST_HISTORY = 5
_MADS = 6.0
_NORMAL = 1.4826  # a normal distribution's standard deviation, in median absolute deviations
_LEAST_SHARE = 0.5
_LEAST_ROWS = 10


@dataclass(frozen=True)
class LoadFacts:
    """What the ledger says of some loads of one source, and what is in its tables."""

    files: tuple[str, ...]  # that were loaded, by name
    files_rejected: int
    rows_read: int
    rows_loaded: int
    rows_rejected: int
    rows_in_raw: int
    rows_in_quarantine: int
    rows_per_file: float | None  # the median
    usual: "Usual | None"

    @property
    def adds_up(self) -> bool:
        """Return whether every record that was read is in raw or in quarantine."""
        is_all = self.rows_read == self.rows_loaded + self.rows_rejected
        is_there = (self.rows_in_raw, self.rows_in_quarantine)
        return is_all and is_there == (self.rows_loaded, self.rows_rejected)

    @property
    def reject_share(self) -> float:
        """Return the share of records that were rejected, 0 to 1."""
        return self.rows_rejected / self.rows_read if self.rows_read else 0.0

    @property
    def is_usual(self) -> bool:
        """Return whether the files are about as large as the source's files were before."""
        if self.usual is None or self.rows_per_file is None:
            return True
        return self.usual.least <= self.rows_per_file <= self.usual.most


@dataclass(frozen=True)
class Usual:
    """How many records a file of a source usually has."""

    least: float
    most: float
    files: int  # that this was learned from

    @classmethod
    def of(cls, rows: Sequence[int]) -> "Usual | None":
        """Return what is usual after files of these sizes; None when they are too few to tell.

        The median, give or take six standard deviations as estimated by the median absolute
        deviation (Rousseeuw and Croux 1993), but at least half of the median, and ten rows.
        """
        if len(rows) < _LEAST_HISTORY:
            return None
        middle = median(rows)
        deviation = _NORMAL * median(abs(each - middle) for each in rows)
        tolerance = max(_MADS * deviation, _LEAST_SHARE * middle, _LEAST_ROWS)
        return cls(max(0.0, middle - tolerance), middle + tolerance, len(rows))


def load_facts(opened: Lake, contract: Contract, load_ids: Sequence[int]) -> LoadFacts:
    """Return what some loads of a source came to."""
    source = literal(contract.source)
    among = f"load_id in ({', '.join(map(str, load_ids)) or 'null'})"
    files = opened.rows(
        "select file_name, status, rows_read, rows_loaded, rows_rejected, reason "
        f"from lake.meta.loads where source = {source} and {among} order by load_id, file_name"
    )
    loaded = [row for row in files if row[1] == "loaded"]
    sizes = [row[2] for row in loaded if not (row[5] or "").startswith(ledger.REPLAY)]
    return LoadFacts(
        files=tuple(row[0] for row in loaded),
        files_rejected=sum(row[1] == "rejected" for row in files),
        rows_read=sum(row[2] for row in loaded),
        rows_loaded=sum(row[3] for row in loaded),
        rows_rejected=sum(row[4] for row in loaded),
        rows_in_raw=opened.value(
            f"select count(*) from {contract.table} where {among.replace('load_id', '_load_id')}"
        ),
        rows_in_quarantine=opened.value(
            f"select count(*) from lake.meta.rejected_rows where source = {source} and {among}"
        ),
        rows_per_file=median(sizes) if sizes else None,
        usual=Usual.of(_earlier(opened, contract, min(load_ids))) if sizes else None,
    )


def _earlier(opened: Lake, contract: Contract, load_id: int) -> list[int]:
    """Return the records of each of the files loaded last before a load."""
    rows = opened.rows(
        "select rows_read from lake.meta.loads "
        f"where source = {literal(contract.source)} and load_id < {load_id} "
        "and status in ('loaded', 'replaced') "
        f"and not starts_with(coalesce(reason, ''), '{ledger.REPLAY}') "
        f"order by load_id desc, file_name limit {_HISTORY}"
    )
    return [count for (count,) in rows]


def last_loaded_at(opened: Lake, contract: Contract) -> datetime | None:
    """Return when a file of the source was last loaded (UTC), or None when none ever was."""
    when: datetime | None = opened.value(
        "select max(loaded_at) from lake.meta.loads "
        f"where status = 'loaded' and source = {literal(contract.source)}"
    )
    return when
