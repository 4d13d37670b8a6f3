"""What was rejected, and loading it again after a fix to the data or the contract.

Rejected files go back to landing and through the loader like any delivery. Rejected rows are
read again from the archived original, so that a replay knows them exactly as a load does.
"""

import json
import os
import time
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import duckdb

from boathouse import catalog, lake, lock
from boathouse.checkpoints import reached
from boathouse.contracts import Contract
from boathouse.ingest import ledger, originals
from boathouse.ingest.batch import Batch
from boathouse.ingest.content import UnfinishedFileError, digest
from boathouse.ingest.deliveries import Delivery
from boathouse.ingest.disposal import EARLIER, folders_of, move, reason_path
from boathouse.ingest.loader import batches, is_of_files, load, unexpected, work_folder
from boathouse.ingest.report import LoadReport
from boathouse.ingest.writer import insert_rows, put_files, utc_now
from boathouse.lake import Lake
from boathouse.settings import Settings
from boathouse.sql import constant, literal

# Rejected rows that wait: not replayed yet, and their file not delivered anew since.
_OPEN = """
    from lake.meta.rejected_rows as rejects
    inner join lake.meta.loads as loads
        on rejects.load_id = loads.load_id
        and rejects.source = loads.source
        and rejects.file_name = loads.file_name
    where rejects.replayed_at is null and loads.status = 'loaded'
"""


@dataclass(frozen=True)
class RejectedRows:
    """Waiting rows of one source that were rejected for one set of reasons."""

    source: str
    reasons: list[str]
    rows: int
    files: int
    example_file: str
    example_row: int
    example_text: str


@dataclass(frozen=True)
class RejectedFile:
    """A file among the rejected ones."""

    source: str
    name: str
    reason: str
    path: Path


@dataclass(frozen=True)
class Quarantine:
    """All that waits for a fix."""

    rows: list[RejectedRows]
    files: list[RejectedFile]

    def as_dict(self) -> dict[str, Any]:
        """Return everything as plain values, for JSON."""
        return asdict(self)


def waiting(settings: Settings, sources: tuple[str, ...] = ()) -> Quarantine:
    """Return what was rejected and waits, rows grouped by what is wrong with them.

    Of `sources` only, unless that is empty.
    """
    files = list(_rejected_files(settings, sources))
    if not lake.exists(settings):
        return Quarantine([], files)
    with lake.connect(settings, read_only=True) as opened:
        if not catalog.has_meta(opened):
            return Quarantine([], files)
        rows = opened.rows(
            f"""
            with waiting as (
                select
                    rejects.*,
                    -- the value differs from row to row, what is wrong with it does not
                    list_transform(
                        rejects.reasons,
                        lambda reason: regexp_replace(reason, ' is [^,]*, ', ' is …, ')
                    ) as kinds
                {_OPEN} and {_among("rejects.source", sources)}
            )

            select
                source,
                kinds,
                count(*) as row_count,
                count(distinct file_name) as file_count,
                arg_min(file_name, (load_id, file_name, row_number)),
                arg_min(row_number, (load_id, file_name, row_number)),
                arg_min(left(raw_row, 500), (load_id, file_name, row_number))
            from waiting
            group by source, kinds
            order by source, row_count desc, kinds
            """
        )
    return Quarantine([RejectedRows(*row) for row in rows], files)


def _among(column: str, sources: tuple[str, ...]) -> str:
    return f"{column} in ({', '.join(map(literal, sources))})" if sources else "true"


def _rejected_files(settings: Settings, sources: tuple[str, ...]) -> Iterator[RejectedFile]:
    given = [settings.rejected / source for source in sources]
    folders = given or sorted(settings.rejected.glob("*"))
    for folder in folders:
        paths = sorted(path for path in folder.rglob("*") if path.is_symlink() or path.is_file())
        reasons = {reason_path(path) for path in paths}
        for path in paths:
            name = path.relative_to(folder).as_posix()
            if path not in reasons and not name.startswith(EARLIER):
                yield RejectedFile(folder.name, name, _reason(path), path)


def _reason(path: Path) -> str:
    try:
        return str(json.loads(reason_path(path).read_text(encoding="utf-8"))["reason"])
    except (OSError, ValueError, KeyError):
        return "unknown: there is no reason beside it"


@lock.starting_over
def replay(
    settings: Settings, contracts: Mapping[str, Contract], sources: tuple[str, ...] = ()
) -> LoadReport:
    """Load rejected rows and files again and return what became of them.

    Those of `sources` only, unless that is empty.

    Rows and files that are still bad stay where they are. A row is never loaded twice.

    Raises:
        UsageError, LakeError, LockTimeoutError: as for `load`.
    """
    started = time.monotonic()
    with lock.writer(settings, "boathouse quarantine replay"):
        _return_files(settings, contracts, sources)
        report = load(settings, contracts, sources=sources, command="boathouse quarantine replay")
        with lake.connect(settings) as opened:
            catalog.ensure(opened, dict(contracts))
            for name, contract in contracts.items():
                if not sources or name in sources:
                    _replay_rows(opened, contract, settings, report)
    report.seconds = time.monotonic() - started
    return report


def _return_files(
    settings: Settings, contracts: Mapping[str, Contract], sources: tuple[str, ...]
) -> None:
    """Move rejected files back to landing, unless a newer one of that name waits there.

    Their reasons stay until the file is archived, or rejected again.
    """
    for file in list(_rejected_files(settings, sources)):
        target = settings.landing_folder / file.source / file.name
        newer = (target, settings.landing_folder / file.name)
        folders = [settings.landing_folder / file.source / each for each in folders_of(file.name)]
        is_free = all(not os.path.lexists(each) or each.is_dir() for each in folders)
        if file.source in contracts and is_free and not any(map(os.path.lexists, newer)):
            move(file.path, target)
            reached("replay:returned-one")


@dataclass(frozen=True)
class _Original:
    """An archived file with rejected rows that wait."""

    load_id: int
    sha256: str
    rows: list[int]


def _replay_rows(opened: Lake, contract: Contract, settings: Settings, report: LoadReport) -> None:
    groups = opened.rows(
        f"""
        select loads.load_id, loads.file_name, loads.file_sha256, list(rejects.row_number)
        {_OPEN} and rejects.source = {literal(contract.source)}
        group by loads.load_id, loads.file_name, loads.file_sha256
        order by loads.load_id, loads.file_name
        """
    )
    archived: dict[Delivery, _Original] = {}
    for load_id, name, sha256, rows in groups:
        path = originals.bring(settings, contract.source, load_id, name)
        try:
            status = path.stat()
        except FileNotFoundError:
            reason = f"its original is no longer in the archive ({path})"
            report.keep(contract.source, name, len(rows), reason)
            continue
        file = Delivery(contract.source, path, name, status.st_size, status.st_mtime_ns)
        archived[file] = _Original(load_id, sha256, rows)
    to_do = deque(batches(list(archived), settings))
    while to_do:
        files = to_do.popleft()
        try:
            with work_folder(settings) as work:
                batch = Batch(opened, contract, settings, work)
                _replay_batch(batch, {file: archived[file] for file in files}, report)
        except Exception as error:
            if not is_of_files(error):
                raise
            if len(files) > 1:
                to_do.extendleft((files[len(files) // 2 :], files[: len(files) // 2]))
            else:
                (file,) = files
                rows = len(archived[file].rows)
                report.keep(contract.source, file.name, rows, unexpected(error))


def _replay_batch(
    batch: Batch, originals: Mapping[Delivery, _Original], report: LoadReport
) -> None:
    """Read archived files again and load those of their rejected rows that are good now."""
    source = batch.contract.source
    changed = []
    for file, original in originals.items():
        try:
            is_original = digest(file) == original.sha256
        except UnfinishedFileError:
            is_original = False
        if is_original:
            batch.add(file, original.sha256, [], is_redelivery=False)
        else:
            changed.append(file)
    batch.read()
    for file in changed:
        reason = f"its original in the archive has been changed ({file.path})"
        report.keep(source, file.name, len(originals[file].rows), reason)
    for outcome in batch.outcomes:
        rows = originals[outcome.file].rows
        report.keep(source, outcome.file.name, len(rows), f"it is refused now: {outcome.reason}")
    if not batch.loaded:
        return
    good = _find_good_rows(batch, originals)
    for file_no, outcome in batch.loaded.items():
        original = originals[outcome.file]
        outcome.rows_read = outcome.rows_loaded = good.get(file_no, 0)
        outcome.rows_rejected = 0
        outcome.reason = f"{ledger.REPLAY}{original.load_id}"
        if left := len(original.rows) - outcome.rows_loaded:
            still = "1 row still breaks" if left == 1 else f"{left:,} rows still break"
            report.keep(source, outcome.file.name, left, f"{still} the contract")
    mended = [outcome for outcome in batch.loaded.values() if outcome.rows_loaded]
    if not mended:
        return
    put_files(batch)
    ledger.prepare(batch.lake, mended)

    def write(con: duckdb.DuckDBPyConnection) -> None:
        replay_id = ledger.next_load_id(con)
        now = utc_now()
        insert_rows(con, batch, replay_id, now, only=_AMONG_GOOD)
        con.execute(
            f"update lake.meta.rejected_rows set replayed_at = {constant(now)} "
            f"where source = {literal(source)} and (load_id, file_name, row_number) in "
            "(select (load_id, file_name, _row) from good_rows)"
        )
        ledger.append(con, replay_id, now)
        reached("replay:before-commit")

    total = sum(outcome.rows_loaded for outcome in mended)
    batch.lake.write(write, f"replay {total} rows of {len(mended)} files", {"source": source})
    reached("replay:committed")
    for outcome in mended:
        report.add(source, outcome)


_AMONG_GOOD = "(records._file_no, records._row) in (select (_file_no, _row) from good_rows)"


def _find_good_rows(batch: Batch, originals: Mapping[Delivery, _Original]) -> dict[int, int]:
    """Put the waiting rows that are good now into `good_rows`; return how many by file number."""
    waiting = [
        (file_no, originals[outcome.file].load_id, outcome.file.name, row)
        for file_no, outcome in batch.loaded.items()
        for row in originals[outcome.file].rows
    ]
    columns = {"_file_no": "integer", "load_id": "bigint", "file_name": "varchar", "_row": "bigint"}
    batch.lake.put("waiting_rows", columns, waiting)
    batch.lake.con.execute(
        "create or replace temp table good_rows as select waiting_rows.* from waiting_rows "
        "inner join records on waiting_rows._file_no = records._file_no "
        "and waiting_rows._row = records._row where records._reasons is null"
    )
    return dict(batch.lake.rows("select _file_no, count(*) from good_rows group by _file_no"))
