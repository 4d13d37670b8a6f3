"""Putting the release that readers see here before those who pull it from an object store."""

from pathlib import Path

from boathouse.bucket import ChangedError
from boathouse.checkpoints import reached
from boathouse.errors import DeniedError, IdentityError, ReleaseError, UnreachableError
from boathouse.identity import shown
from boathouse.release import checksums, files, lookups
from boathouse.release.copying import checksum
from boathouse.release.report import ReleaseInfo
from boathouse.release.store import Current, Store, Stored, StoredFile
from boathouse.settings import Settings

RELEASE, LOOKUPS = "warehouse.duckdb", "lookups.sqlite"
_ATTEMPTS = 5


def push(settings: Settings, *, is_asked: bool = False) -> bool:
    """Let those who pull see the release that readers see here; returns whether they now do anew.

    Without `BOATHOUSE_RELEASES` nothing is done. A release that is not newer than what they have
    been shown before is put before them only when a person has asked for it (`is_asked`): another
    machine may have released since, or rolled back.

    Raises:
        IdentityError: releases of another lake are there.
        ReleaseError: a file is not what was released, or others change what is there all the time.
        DeniedError, UnreachableError: the store does not let us in, or does not answer. Doing it
            again goes on.
    """
    if not settings.releases:
        return False
    release = files.current_release(settings)
    if release is None:
        return False
    try:
        return _push(settings, release, is_asked=is_asked)
    except (DeniedError, UnreachableError) as error:
        raise type(error)(
            f"Release {release.release_id} is shown here, and not yet to those who pull it. "
            f"{error.message}",
            hint=error.hint,
            place=error.place,
        ) from error


def _push(settings: Settings, release: ReleaseInfo, *, is_asked: bool) -> bool:
    store = Store(settings)
    for _ in range(_ATTEMPTS):
        before = store.current()
        if before is not None:
            _require_same_lake(settings, release, before.stored)
            if before.stored.release_id == release.release_id:
                _upload(store, release, before.stored)  # what somebody has deleted there
                return False
            if not is_asked and release.release_id <= before.stored.newest:
                return False
        stored = _stored(release, before)
        try:
            _upload(store, release, stored)
            store.show(stored, before)
        except ChangedError:
            continue
        reached("push:shown")
        _prune(settings, store, stored)
        return True
    raise ReleaseError(
        f"Others change {settings.releases} all the time.",
        hint="Look who else releases there; then run `boathouse release`.",
    )


def _require_same_lake(settings: Settings, release: ReleaseInfo, there: Stored) -> None:
    if there.lake != release.lake:
        raise IdentityError(
            f"{settings.releases} has releases of {shown(there.lake)}, and {release.path} is of "
            f"{shown(release.lake)}.",
            hint="Set BOATHOUSE_RELEASES to a prefix that this lake has for itself. Nothing was "
            "changed there.",
        )


def _paths(release: ReleaseInfo) -> dict[str, Path]:
    return {RELEASE: release.path, LOOKUPS: lookups.beside(release.path)}


def _stored(release: ReleaseInfo, before: Current | None) -> Stored:
    newest = before.stored.newest if before is not None else 0
    known = {RELEASE: checksums.is_same, LOOKUPS: checksums.has_same_lookups}
    for name, path in _paths(release).items():
        if known[name](release.path) is False:
            raise ReleaseError(
                f"{path} is not what was released, and is not pushed.",
                hint="`boathouse release` makes a new one.",
            )
    return Stored(
        lake=release.lake,
        release_id=release.release_id,
        released_at=release.released_at.isoformat(),
        newest=max(newest, release.release_id),
        files={
            name: StoredFile(checksum(path), path.stat().st_size)
            for name, path in _paths(release).items()
        },
    )


def _upload(store: Store, release: ReleaseInfo, stored: Stored) -> None:
    for name, path in _paths(release).items():
        if not store.has(stored.files[name]):
            store.upload(path, stored.files[name])
            reached("push:uploaded")


def _prune(settings: Settings, store: Store, shown: Stored) -> None:
    """Keep as many releases there as here, and the one that is shown."""
    kept = [each for each in store.kept() if each.release_id != shown.release_id]
    others = settings.releases_kept - 1
    left = kept[-others:] if others else []
    store.remove([each for each in kept if each not in left], [*left, shown])
