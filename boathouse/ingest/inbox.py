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
from collections.abc import Iterable
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING

from boathouse import bucket
from boathouse.bucket import Entry
from boathouse.checkpoints import reached
from boathouse.settings import Settings

if TYPE_CHECKING:
    from boathouse.ingest.deliveries import Delivery

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


def fetch(settings: Settings, files: Iterable["Delivery"]) -> list["Delivery"]:
    """Bring the files that lie in the store, and return them.

    Who is not there any more, or not as it was, is left out: the next load sees to it.
    """
    remote = [(file, file.entry) for file in files if file.entry is not None]
    if not remote:
        return []
    store = bucket.of(settings, "landing")

    def bring(pair: "tuple[Delivery, Entry]") -> bool:
        file, entry = pair
        if file.path.exists():  # brought for a transaction that is tried again
            return True
        file.path.parent.mkdir(parents=True, exist_ok=True)
        with NamedTemporaryFile(dir=folder(settings), prefix=".", delete=False) as file_of_part:
            part = Path(file_of_part.name)
        try:
            is_there = store.download_version(entry, part)
            if is_there:
                os.utime(part, ns=(file.modified_ns, file.modified_ns))
                part.replace(file.path)
                reached("inbox:fetched")
            return is_there
        finally:
            part.unlink(missing_ok=True)

    are_here = bucket.at_once(bring, remote)
    return [file for (file, _), is_here in zip(remote, are_here, strict=True) if is_here]


def finish(settings: Settings, brought: "list[Delivery]") -> None:
    """Delete from the store what a load has archived or rejected; leave all else there."""
    done = [file.entry for file in brought if file.entry and not os.path.lexists(file.path)]
    if done:
        store = bucket.of(settings, "landing")

        def take(entry: Entry) -> None:
            store.delete_version(entry)
            reached("inbox:deleted")

        bucket.at_once(take, done)
    for file in brought:
        file.path.unlink(missing_ok=True)
