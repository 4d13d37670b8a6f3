"""Releases in an object store, from which machines without the lake take them.

Under the prefix of `BOATHOUSE_RELEASES` lie

    current.json          which release readers are to see, and its files; changed at once
    releases/<id>.json    the same of each release that is kept there
    files/<sha256>        the files themselves, each called by its content

Who changes `current.json` says which one he has read, so of two writers one begins anew.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from boathouse import bucket, identity
from boathouse.errors import ReleaseError
from boathouse.settings import Settings

CURRENT = "current.json"
# What nobody names stays this long for who is about to name it.
YOUNG = timedelta(hours=1)


@dataclass(frozen=True)
class StoredFile:
    """One file of a release: its content's checksum, and its size in bytes."""

    sha256: str
    size: int


@dataclass(frozen=True)
class Stored:
    """A release as the store tells it."""

    lake: str | None  # identity of the lake it is of
    release_id: int
    released_at: str  # ISO, UTC
    newest: int  # the highest id that readers were ever shown
    files: Mapping[str, StoredFile]  # by their names
    format: int = identity.FORMAT

    @property
    def size(self) -> int:
        """Return the bytes of all its files."""
        return sum(each.size for each in self.files.values())


@dataclass(frozen=True)
class Current:
    """What `current.json` holds, and the mark by which the store knows this version of it."""

    stored: Stored
    etag: str


class Store:
    """The prefix of one lake's releases; errors are those of `Bucket`."""

    def __init__(self, settings: Settings) -> None:
        self._bucket = bucket.of(settings, "releases")

    # -- which release ---------------------------------------------------------------------

    def current(self) -> Current | None:
        """Return what readers are to see; None when there is nothing.

        Raises:
            ReleaseError: it cannot be read.
            IdentityError: a newer Boathouse has written it.
        """
        found = self._bucket.get(CURRENT)
        return Current(self._parsed(found[0], CURRENT), found[1]) if found else None

    def has_changed(self, since: Current) -> bool:
        """Return whether readers are to see something else than they were."""
        there = self._bucket.look(CURRENT)
        return there is None or there.etag != since.etag

    def show(self, stored: Stored, before: Current | None) -> None:
        """Let readers see a release, if they were to see `before` until now.

        Raises:
            ChangedError: they were not.
        """
        body = json.dumps(asdict(stored)).encode()
        self._bucket.put(_note(stored.release_id), body)
        self._bucket.replace(CURRENT, body, before.etag if before is not None else None)

    def kept(self) -> list[Stored]:
        """Return all releases that are there, oldest first."""
        names = [each.name for each in self._bucket.listed("releases/")]
        found = [(name, self._bucket.get(name)) for name in names]
        stored = [self._parsed(each[0], name) for name, each in found if each is not None]
        return sorted(stored, key=lambda each: each.release_id)

    def _parsed(self, body: bytes, name: str) -> Stored:
        address = f"{self._bucket.address}/{name}"
        try:
            told: dict[str, Any] = json.loads(body)
            identity.require_known(int(told["format"]), address)
            files = {key: StoredFile(**each) for key, each in told["files"].items()}
            return Stored(**{**told, "files": files})
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise ReleaseError(
                f"{address} is not what Boathouse puts there.",
                hint="Check BOATHOUSE_RELEASES: nothing else may lie under that prefix.",
            ) from error

    # -- files -----------------------------------------------------------------------------

    def has(self, file: StoredFile) -> bool:
        """Return whether a file is there as a whole."""
        there = self._bucket.look(_place(file))
        return there is not None and there.size == file.size

    def address_of(self, file: StoredFile) -> str:
        """Return the address of a file, for people."""
        return f"{self._bucket.address}/{_place(file)}"

    def upload(self, path: Path, file: StoredFile) -> None:
        """Put a file there; others see it when it is there as a whole."""
        self._bucket.upload(path, _place(file))

    def download(self, file: StoredFile, path: Path) -> bool:
        """Write a file to a path; returns False when it is not there any more."""
        return self._bucket.download(_place(file), path)

    def remove(self, gone: list[Stored], left: list[Stored]) -> None:
        """Delete releases, and the files that none of those that are left has.

        Files that are young stay: somebody may be about to name them.
        """
        for each in gone:
            self._bucket.delete(_note(each.release_id))
        used = {_place(file) for each in left for file in each.files.values()}
        old = datetime.now(UTC) - YOUNG
        for entry in self._bucket.listed("files/"):
            if entry.name not in used and entry.modified < old:
                self._bucket.delete(entry.name)


def _note(release_id: int) -> str:
    return f"releases/{release_id}.json"


def _place(file: StoredFile) -> str:
    return f"files/{file.sha256}"
