"""Where originals go once the ledger has spoken: to the archive, or to the rejected files.

Every function here can be cut short at any instant and called again.
"""

import contextlib
import errno
import hashlib
import json
import os
import shutil
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any

from boathouse.checkpoints import reached
from boathouse.ingest import originals
from boathouse.ingest.deliveries import LONGEST_NAME, Delivery
from boathouse.ingest.report import Outcome
from boathouse.settings import Settings

REASON_SUFFIX = ".reason.json"
EARLIER = ".earlier"  # rejects that a later delivery of their name has made pointless


def archive(
    file: Delivery, sha256: str, load_id: int, settings: Settings, *, supersedes: bool
) -> None:
    """Move a loaded file, or one that was loaded before, to the archive.

    With `supersedes`, a rejected file of the same name is set aside: it must not be replayed
    over what was delivered after it.
    """
    rejected = settings.rejected / file.source / file.name
    if supersedes and os.path.lexists(rejected):
        _set_aside(rejected, file, settings)
    elif _note(rejected).get("file_sha256") == sha256:
        reason_path(rejected).unlink()  # it was rejected once and has come back from there
    elif supersedes and reason_path(rejected).exists():
        _set_aside(rejected, file, settings)  # which was cut short before
    reached("archive:before-move")
    move(file.path, originals.path(settings, file.source, load_id, file.name))


def reject(outcome: Outcome, settings: Settings) -> None:
    """Move a refused file to the rejected ones, with its reason beside it.

    An earlier reject of the same name with other content is kept under `.earlier/<load>`.
    """
    file = outcome.file
    target = settings.rejected / file.source / file.name
    is_there = os.path.lexists(target) or reason_path(target).exists()
    if is_there and _note(target).get("file_sha256") != outcome.sha256:
        _set_aside(target, file, settings)
    for folder in folders_of(file.name):  # or a file that was rejected under that name
        path = settings.rejected / file.source / folder
        if os.path.lexists(path) and not path.is_dir():
            _set_aside(path, replace(file, name=folder), settings)
    note = {
        "source": file.source,
        "file_name": file.name,
        "file_sha256": outcome.sha256,
        "load_id": outcome.load_id,
        "reason": outcome.reason,
        "rejected_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "what_to_do": "Mend the file or the contract, then run `boathouse quarantine replay`.",
    }
    temporary = settings.work / "reason.json"
    temporary.write_text(json.dumps(note, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    move(temporary, reason_path(target))
    reached("reject:noted")
    move(file.path, target)


def folders_of(name: str) -> list[str]:
    """Return the folders that a file's name goes through: `a/b/c.csv` → `a`, `a/b`."""
    parents = PurePosixPath(name).parents
    return [parent.as_posix() for parent in reversed(parents[:-1])]


def reason_path(rejected: Path) -> Path:
    """Return where the reason of a rejected file is: beside it, under its name if that fits."""
    name = f"{rejected.name}{REASON_SUFFIX}"
    if len(os.fsencode(name)) > LONGEST_NAME:
        name = f"{hashlib.sha256(os.fsencode(rejected.name)).hexdigest()}{REASON_SUFFIX}"
    return rejected.with_name(name)


def _note(rejected: Path) -> dict[str, Any]:
    """Return what was noted when a file was rejected, empty when nothing can be read."""
    try:
        note = json.loads(reason_path(rejected).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return note if isinstance(note, dict) else {}


def _set_aside(rejected: Path, file: Delivery, settings: Settings) -> None:
    """Move a rejected file and its reason out of the way."""
    load = str(_note(rejected).get("load_id", "unknown"))
    kept = settings.rejected / file.source / EARLIER / load / file.name
    move(rejected, kept)
    reached("reject:set-aside")
    if os.path.lexists(kept):
        move(reason_path(rejected), reason_path(kept))
    else:  # the file was mended and has come back with other content
        reason_path(rejected).unlink(missing_ok=True)


def move(path: Path, target: Path) -> None:
    """Move a file, if it is still there, also to another file system; replaces the target."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileNotFoundError):
        try:
            path.replace(target)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            copy = target.with_name(".moving")
            shutil.copy2(path, copy, follow_symlinks=False)
            copy.replace(target)
            path.unlink()
