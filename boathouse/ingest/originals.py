"""Originals of what was loaded: in `archive/`, and from there in an object store, if there is one.

With `BOATHOUSE_ARCHIVE` they are carried off once the loads of a run are done; `archive/` is then
where they wait for that, and where they come back to when somebody needs one. All machines that
share a lake find them there. Their keys are their paths: `<source>/<load>/<name>`.
"""

import hashlib
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from boathouse import bucket, lock
from boathouse.checkpoints import reached
from boathouse.errors import DamagedError, DeniedError, UnreachableError
from boathouse.settings import Settings

_LONGEST_KEY = 1024  # bytes
_COMMAND = "boathouse archive"


def path(settings: Settings, source: str, load_id: int, name: str) -> Path:
    """Return where the original of a load is, or waits to be carried off, or comes back to."""
    return settings.archive_folder / _key(source, load_id, name)


def is_kept(settings: Settings, source: str, load_id: int, name: str) -> bool:
    """Return whether an original is there, in one of the two places."""
    if path(settings, source, load_id, name).exists():
        return True
    if not settings.archive:
        return False
    return bucket.of(settings, "archive").look(_key(source, load_id, name)) is not None


def bring(settings: Settings, source: str, load_id: int, name: str) -> Path:
    """Return the path of an original, which is brought back if need be and possible."""
    there = path(settings, source, load_id, name)
    if settings.archive and not there.exists():
        there.parent.mkdir(parents=True, exist_ok=True)
        part = there.with_name(".moving")
        if bucket.of(settings, "archive").download(_key(source, load_id, name), part):
            part.replace(there)
        else:
            _remove_empty(settings, there)
    return there


def sha256(settings: Settings, source: str, load_id: int, name: str) -> str:
    """Return the checksum of an original that was carried off; empty when it is not there."""
    if not settings.archive:
        return ""
    settings.work.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=settings.work) as folder:
        copy = Path(folder) / "original"
        if not bucket.of(settings, "archive").download(_key(source, load_id, name), copy):
            return ""
        with copy.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()


def names(settings: Settings, source: str) -> list[str]:
    """Return the names of all originals of a source; of the store's only when it answers."""
    folder = settings.archive_folder / source
    found = {each.relative_to(folder).as_posix() for each in _files(folder)}
    if settings.archive:
        with suppress(DeniedError, UnreachableError):
            entries = bucket.of(settings, "archive").listed(f"{source}/")
            found |= {each.name.removeprefix(f"{source}/") for each in entries}
    return sorted(each.partition("/")[2] for each in found)


def carry_off(settings: Settings) -> int:
    """Carry the originals in `archive/` to `BOATHOUSE_ARCHIVE`, and return how many.

    Each is deleted here when it is there as a whole, so this may be cut short at any instant.

    Raises:
        DeniedError, UnreachableError: the store does not let us in, or does not answer; what was
            not carried off yet is here.
        LockTimeoutError: another writer was not done in time.
    """
    if not settings.archive or not any(settings.archive_folder.glob("*/*")):
        return 0
    with lock.writer(settings, _COMMAND):
        found = [(each, _key_of(settings, each)) for each in _files(settings.archive_folder)]
        waiting = [(each, key) for each, key in found if len(key.encode()) <= _LONGEST_KEY]
        store = bucket.of(settings, "archive")
        return sum(bucket.at_once(lambda pair: _carry(settings, store, *pair), waiting))


def _carry(settings: Settings, store: bucket.Bucket, file: Path, key: str) -> int:
    size = file.stat().st_size
    there = store.look(key)
    if there is None or there.size != size:
        store.upload(file, key)
        there = store.look(key)
    if there is None or there.size != size:
        raise DamagedError(
            f"{store.address}/{key} is not what was put there.",
            hint=f"Look what happens to objects in that bucket. The original stays: {file}.",
            place=store.address,
        )
    reached("archive:carried")
    file.unlink()
    _remove_empty(settings, file)
    return 1


def _remove_empty(settings: Settings, file: Path) -> None:
    """Remove the folders that a file has left empty."""
    for folder in file.parents:
        if folder == settings.archive_folder:
            return
        try:
            folder.rmdir()
        except OSError:
            return


def _files(folder: Path) -> list[Path]:
    return sorted(each for each in folder.rglob("*") if each.is_file() and each.name != ".moving")


def _key(source: str, load_id: int, name: str) -> str:
    return f"{source}/{load_id}/{name}"


def _key_of(settings: Settings, file: Path) -> str:
    return file.relative_to(settings.archive_folder).as_posix()
