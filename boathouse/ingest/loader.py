"""Loads what waits in landing, a batch of files in one lake transaction.

The order of effects makes a kill at any instant harmless: rows, rejects and ledger become
visible together; only then do the originals move, and the next run finishes moves that were
cut short, because the ledger says where each file belongs.
"""

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from boathouse import catalog, lake, lock
from boathouse.checkpoints import reached
from boathouse.contracts import Contract
from boathouse.errors import UsageError
from boathouse.ingest import deliveries, ledger
from boathouse.ingest.batch import Batch
from boathouse.ingest.content import UnfinishedFileError, digest
from boathouse.ingest.deliveries import Delivery, is_unchanged
from boathouse.ingest.disposal import archive, reject
from boathouse.ingest.report import LoadReport, Outcome
from boathouse.ingest.writer import commit
from boathouse.lake import Lake
from boathouse.settings import Settings

Progress = Callable[[int, int], None]  # files done, files in all


def load(
    settings: Settings,
    contracts: Mapping[str, Contract],
    *,
    sources: tuple[str, ...] = (),
    only: Callable[[Delivery], bool] | None = None,
    again: bool = False,
    command: str = "boathouse load",
    on_progress: Progress | None = None,
) -> LoadReport:
    """Load all that waits in landing and return what became of it.

    Args:
        settings: Which home.
        contracts: All contracts, by source.
        sources: Only these; all when empty.
        only: Says of each waiting file whether to load it; all when None.
        again: Load files anew that were loaded before, and take back the rows they gave.
        command: What others see who wait for the lock.
        on_progress: Called after each transaction.

    Raises:
        UsageError: there is no contract for one of `sources`.
        LakeError, LockTimeoutError: the lake cannot be written.
    """
    unknown = [source for source in sources if source not in contracts]
    if unknown:
        raise UsageError(
            f"There is no source {unknown[0]!r}.", hint=f"Sources: {', '.join(sorted(contracts))}."
        )
    started = time.monotonic()
    report = LoadReport()
    deliveries.make_folders(settings, contracts)
    with lock.writer(settings, command), lake.connect(settings) as opened:
        catalog.ensure(opened, dict(contracts))
        waiting = deliveries.find(settings, contracts, sources)
        report.left_alone = list(waiting.unfinished)
        report.unknown = list(waiting.unknown)
        done = 0
        for name, files in waiting.by_source.items():
            wanted = [file for file in files if only is None or only(file)]
            for batch in batches(wanted, settings):
                load_batch(opened, contracts[name], batch, settings, report, again=again)
                done += len(batch)
                if on_progress:
                    on_progress(done, waiting.count)
    report.seconds = time.monotonic() - started
    return report


def batches(files: list[Delivery], settings: Settings) -> Iterator[list[Delivery]]:
    """Cut the files of a source into transactions of limited size; never two of one name.

    Two of one name lie in landing itself and in the source's folder.
    """
    batch: dict[str, Delivery] = {}
    size = 0
    for file in files:
        full = len(batch) >= settings.batch_files or size + file.size > settings.batch_bytes
        if batch and (full or file.name in batch):
            yield list(batch.values())
            batch, size = {}, 0
        batch[file.name] = file
        size += file.size
    if batch:
        yield list(batch.values())


@contextmanager
def work_folder(settings: Settings) -> Iterator[Path]:
    """Make an empty folder for a batch and remove it afterwards, with whatever a kill left.

    No two have the same name: DuckDB caches files, and takes one that is written anew within a
    second, at the same size, for the one it has read.
    """
    folder = settings.work / "load"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        yield Path(tempfile.mkdtemp(dir=folder))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def load_batch(
    opened: Lake,
    contract: Contract,
    files: list[Delivery],
    settings: Settings,
    report: LoadReport,
    *,
    again: bool = False,
) -> None:
    """Load files of one source in one transaction, move them, and add them to the report."""
    with work_folder(settings) as work:
        batch = Batch(opened, contract, settings, work)
        known = ledger.entries(opened, contract.source, (file.name for file in files))
        for file in files:
            before = known.get(file.name, [])
            try:
                sha256 = digest(file)
            except UnfinishedFileError as error:
                note = f" ({error})" if str(error) else ""
                report.left_alone.append(f"{file.source}/{file.name}{note}")
                continue
            seen = [entry for entry in before if entry.sha256 == sha256]
            cut_short = _unfinished_move(seen, file, settings)
            if cut_short is not None:
                outcome = Outcome(file, sha256, cut_short.status, load_id=cut_short.load_id)
                _archive(outcome, settings, contract)
                report.add_recovered(contract.source)
            else:
                batch.add(file, sha256, [] if again else seen, is_redelivery=bool(before))
        reached("load:read")
        commit(batch)
        reached("load:committed")
        report.left_alone += [f"{file.source}/{file.name}" for file in batch.unfinished]
        for outcome in batch.outcomes:
            if not is_unchanged(outcome.file):
                # Loaded as it was; what it is now, if anything, the next run takes.
                pass
            elif outcome.status == "rejected":
                reject(outcome, settings)
            else:
                _archive(outcome, settings, contract)
            reached("load:moved-one")
            report.add(contract.source, outcome)


def _archive(outcome: Outcome, settings: Settings, contract: Contract) -> None:
    supersedes = outcome.status == "loaded" and contract.landing.redelivery == "replace"
    archive(outcome.file, outcome.sha256, outcome.load_id, settings, supersedes=supersedes)


def _unfinished_move(
    seen: list[ledger.Entry], file: Delivery, settings: Settings
) -> ledger.Entry | None:
    """Return the ledger entry whose original never reached the archive, if there is one."""
    for entry in seen:
        if entry.status != "rejected" and not entry.is_replay:
            path = ledger.archive_path(settings, file.source, entry.load_id, file.name)
            if not path.exists():
                return entry
    return None
