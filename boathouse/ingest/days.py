"""Sources whose files each hold one day: which days were loaded, and loading one of them again.

The day is a date that the contract reads from the file's name.
"""

import re
import shutil
from collections.abc import Collection, Mapping
from datetime import date
from pathlib import Path

from boathouse import lake, lock
from boathouse.contracts import Contract
from boathouse.errors import UsageError
from boathouse.ingest import deliveries, ledger, originals
from boathouse.ingest.loader import load
from boathouse.ingest.report import LoadReport
from boathouse.lake import Lake
from boathouse.settings import Settings
from boathouse.sql import literal


def has_days(contract: Contract) -> bool:
    """Return whether each file of a source is one day's, and a new one replaces the old."""
    kinds = [column.data_type for column in contract.filename_columns]
    return kinds == ["date"] and contract.landing.redelivery == "replace"


def day_of(contract: Contract, name: str) -> date | None:
    """Return the day that a file's name gives, or None when it gives none."""
    (column,) = contract.filename_columns
    pattern = contract.landing.filename_columns[column.name]
    found = re.search(pattern, name.rpartition("/")[2])
    try:
        return date.fromisoformat(found.group(1)) if found else None
    except ValueError:
        return None


def loaded_days(opened: Lake, contract: Contract) -> dict[date, int]:
    """Return the days that are loaded and count, each with its number of rows."""
    rows = opened.rows(
        "select file_name, sum(rows_loaded)::bigint from lake.meta.loads "
        f"where source = {literal(contract.source)} and status = 'loaded' group by file_name"
    )
    days: dict[date, int] = {}
    for name, count in rows:
        day = day_of(contract, name)
        if day is not None:
            days[day] = days.get(day, 0) + count
    return days


def load_days(
    settings: Settings,
    contracts: Mapping[str, Contract],
    source: str,
    days: Collection[date],
    *,
    command: str = "boathouse load",
) -> LoadReport:
    """Load the files of some days alone, from landing or else again from the archive.

    What is loaded again takes back the rows that the same file gave before.

    Raises:
        UsageError: the source has no days, or there is no file for one of them.
        LakeError, LockTimeoutError: the lake cannot be written.
    """
    contract = contracts[source]
    if not has_days(contract):
        raise UsageError(
            f"The files of {source} are not one for each day.",
            hint="Its contract would read a date from the file's name, and say redelivery: replace",
        )

    def is_wanted(file: deliveries.Delivery) -> bool:
        return day_of(contract, file.name) in days

    with lock.writer(settings, command):
        waiting = deliveries.find(settings, contracts, (source,))
        waiting.require_reached()  # a newer file of that day may lie there
        there = {day_of(contract, file.name) for file in waiting.by_source.get(source, [])}
        for day in sorted(set(days) - there):
            _put_back(settings, contract, day)
        return load(
            settings, contracts, sources=(source,), only=is_wanted, again=True, command=command
        )


def _put_back(settings: Settings, contract: Contract, day: date) -> None:
    """Copy a day's files from the archive to landing, where a kill leaves mere duplicates."""
    originals = _archived(settings, contract, day)
    if not originals:
        raise UsageError(
            f"There is no file of {contract.source} for {day}, neither in landing nor in the "
            "archive.",
            hint=f"Put it into {settings.landing_folder / contract.source}, or look for it in "
            f"{settings.rejected / contract.source}.",
        )
    for name, original in originals.items():
        target = settings.landing_folder / contract.source / name
        target.parent.mkdir(parents=True, exist_ok=True)
        unfinished = target.with_name(f".{target.name}")
        shutil.copy2(original, unfinished)
        unfinished.replace(target)


def _archived(settings: Settings, contract: Contract, day: date) -> dict[str, Path]:
    if not lake.exists(settings):
        return {}
    with lake.connect(settings, read_only=True) as opened:
        loads = opened.rows(
            "select file_name, max(load_id) from lake.meta.loads "
            f"where source = {literal(contract.source)} and status = 'loaded' "
            f"and not starts_with(coalesce(reason, ''), '{ledger.REPLAY}') group by file_name"
        )
    paths = {
        name: originals.bring(settings, contract.source, load_id, name)
        for name, load_id in loads
        if day_of(contract, name) == day
    }
    return {name: path for name, path in paths.items() if path.exists()}
