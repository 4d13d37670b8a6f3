"""Which files wait in landing, for which source, and whether somebody is still writing them."""

import fcntl
import os
import signal
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import Path

from boathouse.bucket import Entry
from boathouse.contracts import Contract
from boathouse.errors import BoathouseError
from boathouse.ingest import inbox
from boathouse.settings import Settings

LONGEST_NAME = 255  # bytes, on every file system in use
_UNFINISHED_SUFFIXES = (".tmp", ".part", ".partial", ".filepart", ".crdownload", ".swp", "~")


@dataclass(frozen=True)
class Delivery:
    """A file in landing; `name` is its path below the source's folder, as the ledger knows it."""

    source: str
    path: Path
    name: str
    size: int
    modified_ns: int
    refusal: str = ""  # why it cannot even be opened, or nothing
    entry: Entry | None = None  # of one in `BOATHOUSE_LANDING`, which is brought to `path`


@dataclass
class Waiting:
    """What landing holds: deliveries by source, files left alone, and folders nobody knows."""

    by_source: dict[str, list[Delivery]] = field(default_factory=dict)
    unfinished: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    trouble: BoathouseError | None = None  # why nobody can tell what lies in `BOATHOUSE_LANDING`

    @property
    def count(self) -> int:
        """Return how many files can be loaded."""
        return sum(len(deliveries) for deliveries in self.by_source.values())

    def require_reached(self) -> None:
        """Do nothing when all that waits is known.

        Raises:
            DeniedError, UnreachableError: `BOATHOUSE_LANDING` does not let us in, or answer.
        """
        if self.trouble is not None:
            raise self.trouble


def make_folders(settings: Settings, contracts: Mapping[str, Contract]) -> None:
    """Make landing's folder for every source, so that a person sees where files go."""
    for source in contracts:
        (settings.landing_folder / source).mkdir(parents=True, exist_ok=True)


def find(
    settings: Settings, contracts: Mapping[str, Contract], only: tuple[str, ...] = ()
) -> Waiting:
    """Return what waits in landing, in the order of names; of some sources only, unless empty.

    A file lies in its source's folder (or below), or directly in landing when exactly one
    contract's pattern fits its name. So it does below `BOATHOUSE_LANDING`; whether that lets us
    in, and answers, is told by `Waiting.trouble`.
    """
    waiting = Waiting()
    for entry in _entries(settings.landing_folder):
        if entry.is_dir():
            if entry.name not in contracts:
                waiting.unknown.append(_readable(entry.name))
            elif not only or entry.name in only:
                _collect(Path(entry.path), contracts[entry.name], waiting)
        else:
            fitting = [c for c in contracts.values() if c.matches(entry.name)]
            if len(fitting) != 1:
                waiting.unknown.append(_readable(entry.name))
            elif not only or fitting[0].source in only:
                _add(entry, entry.name, fitting[0], waiting)
    _leave_unsettled(settings, waiting)
    try:
        _add_stored(settings, contracts, only, waiting)
    except inbox.TROUBLES as error:
        waiting.trouble = error
    waiting.by_source = {s: files for s, files in sorted(waiting.by_source.items()) if files}
    return waiting


def _add_stored(
    settings: Settings, contracts: Mapping[str, Contract], only: tuple[str, ...], waiting: Waiting
) -> None:
    """Add what lies in an object store, where every file is there as a whole."""
    for entry in inbox.listed(settings):
        first, _, rest = entry.name.partition("/")
        fitting = [c for c in contracts.values() if not rest and c.matches(first)]
        contract = contracts.get(first) if rest else fitting[0] if len(fitting) == 1 else None
        name = rest or first
        parts = entry.name.split("/")
        if not parts[-1] or any(part.startswith(".") and part.strip(".") for part in parts):
            continue  # a folder, or hidden
        if contract is None or not all(map(_is_name, parts)):
            waiting.unknown.append(_readable(entry.name))
        elif not only or contract.source in only:
            _add_named(
                Delivery(
                    contract.source,
                    inbox.folder(settings) / contract.source / name,
                    name,
                    entry.size,
                    round(entry.modified.timestamp()) * 1_000_000_000,
                    entry=entry,
                ),
                contract,
                waiting,
            )
    for files in waiting.by_source.values():
        if any(file.entry for file in files):
            files.sort(key=lambda file: file.name)


def _is_name(part: str) -> bool:
    """Return whether a part of an object's key can be the name of a file or folder."""
    return part.strip(".") != "" and "\0" not in part and len(part.encode()) <= LONGEST_NAME


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            visible = [entry for entry in entries if not entry.name.startswith(".")]
    except FileNotFoundError:
        return []
    return sorted(visible, key=lambda entry: entry.name)


def _collect(folder: Path, contract: Contract, waiting: Waiting, below: str = "") -> None:
    for entry in _entries(folder):
        name = f"{below}{entry.name}"
        if entry.is_dir(follow_symlinks=False):
            _collect(Path(entry.path), contract, waiting, f"{name}/")
        else:
            _add(entry, name, contract, waiting)


def _add(entry: os.DirEntry[str], name: str, contract: Contract, waiting: Waiting) -> None:
    try:
        status = entry.stat(follow_symlinks=False)
    except FileNotFoundError:
        return  # taken away between the listing and now
    refusal = ""
    if entry.is_symlink():
        refusal = "is a symbolic link, which is never followed; put the file itself here"
    elif not entry.is_file(follow_symlinks=False):
        refusal = "is no regular file"
    found = (status.st_size, status.st_mtime_ns, refusal)
    _add_named(Delivery(contract.source, Path(entry.path), name, *found), contract, waiting)


def _add_named(file: Delivery, contract: Contract, waiting: Waiting) -> None:
    """Add a file, unless its name says that it is not meant, or not finished."""
    name, readable = file.name, _readable(file.name)
    base = name.rpartition("/")[2]
    if any(fnmatchcase(base, pattern) for pattern in contract.landing.ignore):
        return
    if name.lower().endswith(_UNFINISHED_SUFFIXES):
        waiting.unfinished.append(f"{contract.source}/{readable}")
        return
    refusal = file.refusal
    if not refusal and not contract.matches(name):
        refusal = f"its name fits none of the patterns {', '.join(contract.landing.files)}"
    waiting.by_source.setdefault(contract.source, []).append(
        replace(file, name=readable, refusal=refusal)
    )


def _readable(name: str) -> str:
    """Return a file's name as text that can be printed and stored, also if it is no UTF-8."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _leave_unsettled(settings: Settings, waiting: Waiting) -> None:
    """Wait once for files written a moment ago; leave those alone that still change."""
    young = list(_younger_than(settings.settle_seconds, waiting))
    if not young:
        return
    time.sleep(settings.settle_seconds)
    for delivery in young:
        if not is_unchanged(delivery):
            waiting.by_source[delivery.source].remove(delivery)
            waiting.unfinished.append(f"{delivery.source}/{delivery.name}")


def _younger_than(seconds: float, waiting: Waiting) -> Iterator[Delivery]:
    newest_settled = time.time_ns() - int(seconds * 1e9)
    for deliveries in waiting.by_source.values():
        yield from (file for file in deliveries if file.modified_ns > newest_settled)


def is_unchanged(delivery: Delivery) -> bool:
    """Return whether a file still has the size and time it was found with."""
    try:
        status = delivery.path.stat(follow_symlinks=False)
    except FileNotFoundError:
        return False
    return (status.st_size, status.st_mtime_ns) == (delivery.size, delivery.modified_ns)


def is_open_for_writing(descriptor: int) -> bool:
    """Return whether any process has the file open for writing, as far as the system tells.

    Linux refuses a read lease on a file that somebody may still write to; elsewhere, and on
    file systems without leases, only the settling time protects.
    """
    lease = getattr(fcntl, "F_SETLEASE", None)
    if lease is None:
        return False
    try:
        # Whoever opens the file in this instant must not end us: by default, SIGIO would.
        fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(descriptor, lease, fcntl.F_RDLCK)
    except BlockingIOError:
        return True
    except OSError:
        return False
    fcntl.fcntl(descriptor, lease, fcntl.F_UNLCK)
    return False
