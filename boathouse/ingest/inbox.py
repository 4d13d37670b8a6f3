"""Deliveries in an object store, which a load takes into the home one transaction at a time.

`BOATHOUSE_LANDING` is a prefix with a folder for each source, as landing is. Under the writer lock
the files of a transaction are brought into `inbox/`, loaded like any others, and deleted from the
store once their originals are archived or rejected. So nothing in `inbox/` counts but what the load
that is at work has brought: of one that was killed the objects are still there, or another machine
that shares the lake has taken them.
"""

import os
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING

from boathouse import bucket
from boathouse.bucket import Entry
from boathouse.checkpoints import reached
from boathouse.errors import DeniedError, UnreachableError
from boathouse.settings import Settings

if TYPE_CHECKING:
    from boathouse.ingest.deliveries import Delivery
    from boathouse.ingest.report import LoadReport

# Why a store cannot be asked. What does not lie in it is loaded all the same.
TROUBLES = (DeniedError, UnreachableError)
# Who looks into landing again and again asks the store no more often.
LIST_SECONDS = 2.0


def folder(settings: Settings) -> Path:
    """Return where the files of a transaction lie."""
    return settings.home_folder / "inbox"


def listed(settings: Settings) -> list[Entry]:
    """Return what lies in the store; of a moment ago, unless `empty` was called since.

    Raises:
        DeniedError, UnreachableError: the store does not let us in, or does not answer.
    """
    if not settings.landing:
        return []
    asked_at, found = _listed.get(settings.landing, (float("-inf"), []))
    if time.monotonic() - asked_at >= LIST_SECONDS:
        found = bucket.of(settings, "landing").listed()
        _listed[settings.landing] = (time.monotonic(), found)
    return found


_listed: dict[str, tuple[float, list[Entry]]] = {}


def empty(settings: Settings) -> None:
    """Begin a load: forget what was listed, and what one that was killed has left."""
    _listed.pop(settings.landing, None)
    shutil.rmtree(folder(settings), ignore_errors=True)


@contextmanager
def taken(settings: Settings, files: Sequence["Delivery"], report: "LoadReport") -> Iterator[None]:
    """Have the files of a transaction here for a `with` block, and then no more in the store.

    What is not there any more, or not as it was, is left out: the next load sees to it. So it is
    with all that a store does not give, or let go of, when it fails, as the report is told.
    """
    remote = [file for file in files if file.entry]
    if remote and report.trouble is None:
        try:
            bucket.at_once(partial(_bring, settings, bucket.of(settings, "landing")), remote)
        except TROUBLES as error:
            report.trouble = error
    brought = [file for file in remote if file.path.exists()]
    yield
    done = [file.entry for file in brought if file.entry and not os.path.lexists(file.path)]
    if done and report.trouble is None:
        try:
            bucket.at_once(partial(_delete, bucket.of(settings, "landing")), done)
        except TROUBLES as error:
            report.trouble = error
    for file in brought:
        file.path.unlink(missing_ok=True)


def _bring(settings: Settings, store: bucket.Bucket, file: "Delivery") -> None:
    if file.entry is None or file.path.exists():  # brought for a transaction that is tried again
        return
    file.path.parent.mkdir(parents=True, exist_ok=True)
    with NamedTemporaryFile(dir=folder(settings), prefix=".", delete=False) as file_of_part:
        part = Path(file_of_part.name)
    try:
        if store.download_version(file.entry, part):
            os.utime(part, ns=(file.modified_ns, file.modified_ns))
            part.replace(file.path)
            reached("inbox:fetched")
    finally:
        part.unlink(missing_ok=True)


def _delete(store: bucket.Bucket, entry: Entry) -> None:
    store.delete_version(entry)
    reached("inbox:deleted")
