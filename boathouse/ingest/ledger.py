"""The ledger: which files were seen before, and what became of them.

A file is known by its source, name and content hash. The ledger's rows are written in the same
transaction as the rows they speak of.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime

import duckdb

from boathouse.catalog import META_TABLES
from boathouse.ingest.report import Outcome
from boathouse.lake import Lake
from boathouse.sql import constant, literal

REPLAY = "replay of load "
_OF_THE_LOAD = ("load_id", "loaded_at")  # known only inside the transaction


@dataclass(frozen=True)
class Entry:
    """A ledger row's key facts."""

    load_id: int
    file_name: str
    sha256: str
    status: str
    reason: str | None

    @property
    def is_replay(self) -> bool:
        """Return whether these are rows out of quarantine, whose file an earlier load archived."""
        return (self.reason or "").startswith(REPLAY)


def entries(lake: Lake, source: str, names: Iterable[str]) -> dict[str, list[Entry]]:
    """Return all ledger entries of files with these names, oldest first, by name."""
    lake.put("wanted_names", {"file_name": "varchar"}, [(name,) for name in names])
    rows = lake.rows(
        f"""
        select load_id, file_name, file_sha256, status, reason
        from lake.meta.loads
        where source = {literal(source)} and file_name in (select file_name from wanted_names)
        order by load_id
        """
    )
    found: dict[str, list[Entry]] = {}
    for row in rows:
        entry = Entry(*row)
        found.setdefault(entry.file_name, []).append(entry)
    return found


def same_content_elsewhere(
    lake: Lake, source: str, hashes: Iterable[str], without: Collection[str]
) -> dict[str, str]:
    """Return, for hashes of files whose rows are there, the name that was loaded first.

    Names in `without` do not count: what they are loaded with is about to be replaced.
    """
    lake.put("wanted_hashes", {"file_sha256": "varchar"}, [(sha256,) for sha256 in hashes])
    lake.put("replaced_names", {"file_name": "varchar"}, [(name,) for name in without])
    rows = lake.rows(
        f"""
        select file_sha256, min_by(file_name, load_id)
        from lake.meta.loads
        where
            source = {literal(source)}
            and status = 'loaded'
            and file_sha256 in (select file_sha256 from wanted_hashes)
            and file_name not in (select file_name from replaced_names)
        group by file_sha256
        """
    )
    return dict(rows)


def next_load_id(con: duckdb.DuckDBPyConnection) -> int:
    """Return the number for a new load; called inside the transaction that uses it."""
    return int(
        con.execute("select coalesce(max(load_id), 0) + 1 from lake.meta.loads").fetchall()[0][0]
    )


def prepare(lake: Lake, outcomes: list[Outcome]) -> None:
    """Put the rows of files that share a load into a temporary table, for `append`."""
    kinds = {name: kind for name, kind in META_TABLES["loads"].items() if name not in _OF_THE_LOAD}
    rows = [
        (
            outcome.file.source,
            outcome.file.name,
            outcome.sha256,
            outcome.file.size,
            outcome.rows_read,
            outcome.rows_loaded,
            outcome.rows_rejected,
            outcome.status,
            outcome.reason or None,
        )
        for outcome in outcomes
    ]
    lake.put("ledger_rows", kinds, rows)


def append(con: duckdb.DuckDBPyConnection, load_id: int, loaded_at: datetime) -> None:
    """Add the prepared rows to the ledger; called inside the transaction of their load."""
    con.execute(
        "insert into lake.meta.loads by name "
        f"select *, {load_id} as load_id, {constant(loaded_at)} as loaded_at from ledger_rows"
    )
