"""A batch: files of one source that are read together; `writer` commits them together."""

from pathlib import Path
from typing import Any

from boathouse import catalog
from boathouse.contracts import Contract
from boathouse.ingest import apart, ledger
from boathouse.ingest.deliveries import Delivery
from boathouse.ingest.reading import Job
from boathouse.ingest.records import Malformed
from boathouse.ingest.report import Outcome
from boathouse.lake import Lake
from boathouse.settings import Settings


class Batch:
    """Takes files (`add`), then has them read into the view `records` (`read`).

    `outcomes` has every file that was judged so far; those in `loaded` follow at the commit.
    """

    def __init__(self, opened: Lake, contract: Contract, settings: Settings, work: Path) -> None:
        self.lake = opened
        self.contract = contract
        self._settings = settings
        self._work = work
        self.files: dict[int, Outcome] = {}
        self.outcomes: list[Outcome] = []
        self.redelivered: set[str] = set()
        self.filename_values: dict[int, tuple[Any, ...]] = {}
        # The records that could not be split into fields, and so are not in `records`.
        self.malformed: list[Malformed] = []
        self.row_bytes = 0  # of a record as it was read, on average
        self._seen: dict[int, list[ledger.Entry]] = {}

    @property
    def loaded(self) -> dict[int, Outcome]:
        """Return the files that are loaded, as far as is known by now, by file number."""
        return {n: outcome for n, outcome in self.files.items() if outcome.status == "loaded"}

    @property
    def unfinished(self) -> list[Delivery]:
        """Return the files that somebody changed or took away while they were read."""
        return [outcome.file for outcome in self.files.values() if outcome.status == "unfinished"]

    def add(
        self, file: Delivery, sha256: str, seen: list[ledger.Entry], *, is_redelivery: bool
    ) -> None:
        """Take in one file; what was loaded before becomes a duplicate."""
        before = next((e for e in seen if e.status == "loaded"), None)
        if before is not None:
            reason = f"the same file was loaded as load {before.load_id}"
            self.outcomes.append(Outcome(file, sha256, "duplicate", reason))
            return
        file_no = len(self.files)
        self.files[file_no] = Outcome(file, sha256, "loaded")
        self._seen[file_no] = seen
        if file.refusal:
            self.set_aside(file_no, file.refusal)
        if is_redelivery:
            self.redelivered.add(file.name)

    def set_aside(self, file_no: int, reason: str, status: str = "rejected") -> None:
        """Load nothing of a file, whatever was read of it."""
        self.files[file_no].set_aside(reason, status)
        self._judge(file_no)

    def _judge(self, file_no: int) -> None:
        """Note a file that is not loaded; the ledger may have the same verdict already."""
        outcome = self.files[file_no]
        last = next((e for e in reversed(self._seen[file_no]) if e.status == "rejected"), None)
        if last is not None and last.reason == outcome.reason:
            outcome.is_known_verdict, outcome.load_id = True, last.load_id
        self.outcomes.append(outcome)

    def read(self) -> None:
        """Have the files read: what can be read is the view `records`, typed, with reasons.

        Raises:
            ContractError: a rule of the contract cannot be run.
            RefusedFileError: the files have more columns than a table can have.
            ReaderError: the process that reads them has come to harm.
        """
        if not self.loaded:
            return
        adds = self.contract.landing.new_columns == "add"
        table = tuple(catalog.raw_columns(self.lake, self.contract)) if adds else ()
        found = apart.read(Job(self.contract, self._settings, self._work, self.loaded, table))
        self.files |= found.files
        self.filename_values = found.filename_values
        self.malformed = found.malformed
        written = sum(path.stat().st_size for path in self._work.glob("records-*.parquet"))
        self.row_bytes = written // max(1, sum(each.rows_read for each in found.files.values()))
        for file_no, outcome in found.files.items():
            if outcome.status == "rejected":
                self._judge(file_no)
        if self.loaded:
            self.lake.con.execute(f"create or replace temp view records as {found.records}")
