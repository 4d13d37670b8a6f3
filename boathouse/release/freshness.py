"""How fresh each source is: `meta.source_freshness`, kept up as loads come in.

Rows and rejects are the ledger's: a replay takes as many rows out of quarantine as it loads. The
latest event is looked for in the rows loaded since it was last looked for, so that the cost is
that of what is new; only when rows were taken back is the whole of a source looked through.
"""

from dataclasses import astuple, dataclass, replace
from datetime import datetime
from pathlib import Path

import duckdb

from boathouse.contracts import Contract, load_contracts
from boathouse.lake import Lake
from boathouse.sql import identifier, literal, row


@dataclass(frozen=True)
class Freshness:
    """One row of `meta.source_freshness`; `load_id` is the newest load that it counts."""

    source: str
    last_loaded_at: datetime | None
    last_event_at: datetime | None
    rows: int
    rejected_rows: int
    load_id: int


def update_freshness(lake: Lake, project: Path) -> None:
    """Bring `meta.source_freshness` up to date; writes only what has changed."""
    with lake.reading():
        changed = _changed(lake, project)
    if not changed:
        return

    def write(con: duckdb.DuckDBPyConnection) -> None:
        sources = ", ".join(literal(each.source) for each in changed)
        con.execute(f"delete from lake.meta.source_freshness where source in ({sources})")
        rows = ", ".join(row(astuple(each)) for each in changed)
        con.execute(
            "insert into lake.meta.source_freshness "
            "(source, last_loaded_at, last_event_at, rows, rejected_rows, load_id) "
            f"values {rows}"
        )

    lake.write(write, "note how fresh the sources are")


def _changed(lake: Lake, project: Path) -> list[Freshness]:
    """Return what is to be noted of the sources that were loaded since it was noted."""
    known = {
        values[0]: Freshness(*values)
        for values in lake.rows(
            "select source, last_loaded_at, last_event_at, rows, rejected_rows, load_id "
            "from lake.meta.source_freshness"
        )
    }
    stale = [now for now in _ledger(lake) if not _is_same(now, known.get(now.source))]
    if not stale:
        return []
    contracts = load_contracts(project)
    return [
        replace(now, last_event_at=_last_event(lake, contracts[now.source], known.get(now.source)))
        for now in stale
        if now.source in contracts
    ]


def _ledger(lake: Lake) -> list[Freshness]:
    found = lake.rows(
        """
        select
            source,
            max(loaded_at) filter (where status = 'loaded'),
            null,
            coalesce(sum(rows_loaded) filter (where status = 'loaded'), 0)::bigint,
            coalesce(sum(
                case when reason like 'replay of load %' then -rows_loaded else rows_rejected end
            ) filter (where status = 'loaded'), 0)::bigint,
            max(load_id)
        from lake.meta.loads
        group by source
        """
    )
    return [Freshness(*values) for values in found]


def _is_same(now: Freshness, before: Freshness | None) -> bool:
    return before is not None and replace(now, last_event_at=before.last_event_at) == before


def _last_event(lake: Lake, contract: Contract, before: Freshness | None) -> datetime | None:
    if contract.event_time is None:
        return None
    latest = _latest(contract, contract.event_time)
    if before is not None and not _has_taken_back(lake, contract, before.load_id):
        found = lake.value(
            f"select {latest} from {contract.table} where _load_id > {before.load_id}"
        )
        return max((time for time in (found, before.last_event_at) if time), default=None)
    whole: datetime | None = lake.value(f"select {latest} from {contract.table}")
    return whole


def _latest(contract: Contract, column: str) -> str:
    """Return SQL for the latest time in a column; a bigint counts milliseconds since 1970."""
    types = {each.name: each.data_type for each in contract.columns}
    latest = f"max({identifier(column)})"
    return f"make_timestamp_ms({latest})" if types[column] == "bigint" else f"{latest}::timestamp"


def _has_taken_back(lake: Lake, contract: Contract, load_id: int) -> bool:
    newer = f"from {contract.replaced_table} where _replaced_by > {load_id}"
    return bool(lake.rows(f"select 1 {newer} limit 1"))
