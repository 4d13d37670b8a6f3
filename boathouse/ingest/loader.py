"""Loads what waits in landing, a batch of files in one lake transaction.

The order of effects makes a kill at any instant harmless: rows, rejects and ledger become
visible together; only then do the originals move, and the next run finishes moves that were
cut short, because the ledger says where each file belongs.
"""

import errno
import shutil
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from boathouse import catalog, lake, lock
from boathouse.checkpoints import reached
from boathouse.contracts import Contract
from boathouse.errors import BoathouseError, ContractError, UsageError
from boathouse.ingest import apart, deliveries, inbox, ledger, originals
from boathouse.ingest.batch import Batch
from boathouse.ingest.content import RefusedFileError, UnfinishedFileError, digest
from boathouse.ingest.deliveries import Delivery, is_unchanged
from boathouse.ingest.disposal import archive, folders_of, reject
from boathouse.ingest.report import UNEXPECTED, LoadReport, Outcome
from boathouse.ingest.writer import commit
from boathouse.lake import Lake
from boathouse.settings import Settings
from boathouse.surroundings import is_full_disk

Progress = Callable[[int, int], None]  # files done, files in all
_MACHINE = (
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EFBIG,
    errno.EROFS,
    errno.EIO,
    errno.EMFILE,
    errno.ENFILE,
)


@lock.starting_over
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
    apart.make_ready()
    with lock.writer(settings, command):
        inbox.empty(settings)
        waiting = deliveries.find(settings, contracts, sources)
        report.left_alone = list(waiting.unfinished)
        report.unknown = list(waiting.unknown)
        report.trouble = waiting.trouble
        to_do = _ToDo(
            batch
            for files in waiting.by_source.values()
            for batch in batches([f for f in files if only is None or only(f)], settings)
        )
        is_first = True
        while is_first or to_do:
            is_first = False
            with to_do.without_what_fails(), lake.connect(settings) as opened:
                catalog.ensure(opened, dict(contracts))
                for batch in to_do:
                    contract = contracts[batch[0].source]
                    with inbox.taken(settings, batch, report):
                        load_batch(opened, contract, batch, settings, report, again=again)
                    if on_progress:
                        on_progress(waiting.count - to_do.files_left, waiting.count)
        inbox.empty(settings)
    if to_do.contract_error:
        raise to_do.contract_error
    report.seconds = time.monotonic() - started
    return report


class _ToDo:
    """The batches that wait. Whatever goes wrong with one, the others are loaded.

    A batch that fails is cut in halves, until the file is found that it fails for: that file is
    set aside if it fails again, alone and on a new engine.
    """

    def __init__(self, batches: Iterable[list[Delivery]]) -> None:
        self._waiting = deque(batches)
        self._at_work: list[Delivery] = []
        self._suspect: Delivery | None = None
        self.contract_error: ContractError | None = None

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def files_left(self) -> int:
        return len(self._at_work) + sum(map(len, self._waiting))

    def __iter__(self) -> Iterator[list[Delivery]]:
        while self._waiting:
            self._at_work = self._waiting.popleft()
            yield self._at_work
            self._at_work = []

    @contextmanager
    def without_what_fails(self) -> Iterator[None]:
        """End a `with` block at a batch that fails, and see to it that it does not fail again.

        Raises:
            BoathouseError, OSError, duckdb.Error: it is not for the files of the batch.
        """
        try:
            yield
        except ContractError as error:  # of one source
            self.contract_error = self.contract_error or error
            source = self._at_work[0].source if self._at_work else ""
            if not source:
                raise
            self._waiting = deque(batch for batch in self._waiting if batch[0].source != source)
        except Exception as error:
            is_set_aside = len(self._at_work) == 1 and self._at_work[0].refusal
            if not self._at_work or is_set_aside or not is_of_files(error):
                raise
            self._waiting.extendleft(reversed(list(self._mended(error))))
        self._at_work = []

    def _mended(self, error: Exception) -> Iterator[list[Delivery]]:
        files = self._at_work
        if len(files) > 1:
            yield files[: len(files) // 2]
            yield files[len(files) // 2 :]
        elif files[0] != self._suspect and not isinstance(error, RefusedFileError):
            self._suspect = files[0]
            yield files
        else:
            refused = isinstance(error, RefusedFileError)
            reason = str(error) if refused else unexpected(error)
            yield [replace(files[0], refusal=reason)]


def is_of_files(error: Exception) -> bool:
    """Return whether an error may be for the files that were read, not for what they met."""
    is_of_machine = isinstance(error, OSError) and error.errno in _MACHINE
    return not (isinstance(error, BoathouseError) or is_of_machine or is_full_disk(error))


def unexpected(error: Exception) -> str:
    """Return the reason for a file that an error is for which nobody has foreseen."""
    said = str(error).partition("\n")[0]
    kind = "" if isinstance(error, apart.ReaderError) else f"{type(error).__name__}: "
    return f"{UNEXPECTED}{kind}{said}"


def batches(files: list[Delivery], settings: Settings) -> Iterator[list[Delivery]]:
    """Cut the files of a source into transactions of limited size; never two of one name.

    Two of one name lie in landing itself and in the source's folder; there may also be a file
    called like a folder of another one.
    """
    batch: dict[str, Delivery] = {}
    folders: set[str] = set()
    size = 0
    for file in files:
        full = len(batch) >= settings.batch_files or size + file.size > settings.batch_bytes
        above = folders_of(file.name)
        is_in_the_way = (
            file.name in batch or file.name in folders or not batch.keys().isdisjoint(above)
        )
        if batch and (full or is_in_the_way):
            yield list(batch.values())
            batch, size = {}, 0
            folders.clear()
        batch[file.name] = file
        folders.update(above)
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
        left_alone: list[str] = []
        recovered: list[Outcome] = []
        known = ledger.entries(opened, contract.source, (file.name for file in files))
        for file in files:
            before = known.get(file.name, [])
            try:
                sha256 = digest(file)
            except UnfinishedFileError as error:
                note = f" ({error})" if str(error) else ""
                left_alone.append(f"{file.source}/{file.name}{note}")
                continue
            seen = [entry for entry in before if entry.sha256 == sha256]
            cut_short = _unfinished_move(seen, file, settings)
            if cut_short is not None:
                load_id = cut_short.load_id
                recovered.append(Outcome(file, sha256, cut_short.status, load_id=load_id))
            else:
                batch.add(file, sha256, [] if again else seen, is_redelivery=bool(before))
        batch.read()
        reached("load:read")
        commit(batch)
        reached("load:committed")
        for outcome in recovered:
            _archive(outcome, settings, contract)
            report.add_recovered(contract.source)
        report.left_alone += left_alone
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
    """Return the ledger entry whose original never reached the archive, if there is one.

    Of a file that was replaced since, this is another delivery.
    """
    for entry in seen:
        is_moved = entry.status not in ("rejected", "replaced") and not entry.is_replay
        if is_moved and not originals.is_kept(settings, file.source, entry.load_id, file.name):
            return entry
    return None
