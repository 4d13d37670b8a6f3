"""The files of releases: where they lie, which one is current, and how one becomes it.

`warehouse.duckdb` is a link to a copy of one of the files in `releases/` (see `readers`), and the
copy's name decides which one is current. A file gets its name in `releases/` only after readers
have seen it, so whatever lies there was released once. Every step is a rename or a link, so a
process killed at any point leaves the old release or the new one; `tidy` mends the rest.
"""

from contextlib import suppress
from pathlib import Path

from boathouse import identity
from boathouse.checkpoints import reached
from boathouse.errors import IdentityError, ReleaseError
from boathouse.release import checksums, lookups, readers
from boathouse.release.about import read_info
from boathouse.release.copying import copy, sync
from boathouse.release.report import ReleaseInfo
from boathouse.settings import Settings


def kept_path(settings: Settings, release_id: int) -> Path:
    """Return where a release is kept."""
    return settings.releases_folder / f"{release_id}.duckdb"


def temporary_path(settings: Settings, release_id: int) -> Path:
    """Return where a release is written before anybody may see it."""
    return settings.releases_folder / f".{release_id}.duckdb.tmp"


def kept_ids(settings: Settings) -> list[int]:
    """Return the ids of all kept releases, oldest first."""
    stems = (path.stem for path in settings.releases_folder.glob("*.duckdb"))
    return sorted(int(stem) for stem in stems if stem.isdecimal())


def current_id(settings: Settings) -> int | None:
    """Return the id of the release that readers see, or None when they see none."""
    shown = readers.shown_id(settings)
    if shown is not None:
        return shown
    if not settings.warehouse.exists():
        return None
    # A file, where there are no links, or as it was made until now.
    for release_id in kept_ids(settings):
        with suppress(FileNotFoundError):  # pruned at this moment
            if settings.warehouse.samefile(kept_path(settings, release_id)):
                return release_id
    info = read_info(settings.warehouse)
    return info.release_id if info else None


def list_releases(settings: Settings) -> list[ReleaseInfo]:
    """Return all kept releases, newest first; files that cannot be read are left out.

    Raises:
        IdentityError: one is of another lake, or a newer Boathouse has written it.
    """
    current = current_id(settings)
    found = []
    for release_id in reversed(kept_ids(settings)):
        with suppress(FileNotFoundError):  # pruned at this moment
            info = _info(
                settings, kept_path(settings, release_id), is_current=release_id == current
            )
            if info is not None:
                found.append(info)
    return found


def _info(settings: Settings, path: Path, *, is_current: bool) -> ReleaseInfo | None:
    info = read_info(path, is_current=is_current)
    if info is not None:
        require_own(settings, info.lake, path)
    return info


def require_own(settings: Settings, lake: str | None, path: Path) -> None:
    """Do nothing when a release is of the home's own lake, or says nothing of a lake.

    Raises:
        IdentityError: it is of another one.
    """
    home = identity.of_home(settings)
    if home is not None and lake is not None and lake != home.lake:
        raise IdentityError(
            f"The release {path} is of {identity.shown(lake)}, and the home "
            f"{settings.home_folder} of {home}.",
            hint="Move the file, with its look-ups, out of the home. `boathouse diff` compares it "
            "by its path.",
        )


def current_release(settings: Settings) -> ReleaseInfo | None:
    """Return the release that readers see, or None when there is none yet.

    Its `path` is the file's own name, which no other release ever gets: who keeps it open does
    best to open that one.

    Raises:
        ReleaseError: `warehouse.duckdb` is there but is no released file.
        IdentityError: it is of another lake, or a newer Boathouse has written it.
    """
    release_id = current_id(settings)
    if release_id is None:
        if settings.warehouse.exists():
            raise ReleaseError(
                f"{settings.warehouse} is no file that Boathouse has released.",
                hint="Put a release back with `boathouse rollback`, or make a new one.",
            )
        return None
    path = path_of(settings, release_id)
    try:
        info = _info(settings, path, is_current=True)
    except FileNotFoundError:
        info = None
    if info is None:
        raise ReleaseError(
            f"The released file {path} cannot be read.",
            hint="Put another one back with `boathouse rollback`, or make a new release.",
        )
    return info


def path_of(settings: Settings, release_id: int) -> Path:
    """Return the file of a release that was shown, whether it has been named by now or not."""
    kept, temporary = kept_path(settings, release_id), temporary_path(settings, release_id)
    return next((path for path in (kept, temporary) if path.exists()), settings.warehouse)


def publish(settings: Settings, release_id: int) -> None:
    """Make the finished temporary file of a release the one that readers see, then name it."""
    temporary, kept = temporary_path(settings, release_id), kept_path(settings, release_id)
    checksums.write(temporary, kept.name)
    for path in (*_beside(temporary), temporary):
        path.chmod(readers.READ_ONLY)
        sync(path)
    for path, target in zip(_beside(temporary), _beside(kept), strict=True):
        path.replace(target)
    reached("release:lookups-named")
    readers.show(settings, release_id, temporary)
    reached("release:shown")
    _name(settings, release_id)
    reached("release:named")


def _beside(path: Path) -> tuple[Path, ...]:
    """Return the files that belong to a release, given the path of its own."""
    return lookups.beside(path), checksums.beside(path)


def name_shown(settings: Settings) -> None:
    """Give the file that readers see its name among the kept ones, if it does not have it yet."""
    shown = current_id(settings)
    if shown is None or kept_path(settings, shown).exists():
        return
    temporary = temporary_path(settings, shown)
    if not temporary.exists():
        copy(settings.warehouse, temporary)
        temporary.chmod(readers.READ_ONLY)
        sync(temporary)
    _name(settings, shown)


def _name(settings: Settings, release_id: int) -> None:
    with suppress(FileNotFoundError):  # named by another process at this moment
        temporary_path(settings, release_id).replace(kept_path(settings, release_id))
    sync(settings.releases_folder)


def show(settings: Settings, release_id: int) -> None:
    """Make a kept release the one that readers see, in one atomic step."""
    readers.show(settings, release_id, kept_path(settings, release_id))


def mend_readers(settings: Settings, *, is_deep: bool = False) -> None:
    """Give readers a clean copy when somebody has changed theirs, or keeps it to himself.

    With `is_deep` also when the disk has changed it. Called by the one writer: another one could be
    showing another release.
    """
    spoilt = spoilt_for_readers(settings, is_deep=is_deep)
    if spoilt is not None:
        show(settings, spoilt)


def spoilt_for_readers(settings: Settings, *, is_deep: bool = False) -> int | None:
    """Return the current release if what readers open needs mending, else None."""
    shown = current_id(settings)
    if shown is None or not kept_path(settings, shown).exists():
        return None
    file = kept_path(settings, shown)
    is_well = readers.is_apart(settings, file) and readers.is_as_released(
        settings, file, is_deep=is_deep
    )
    return shown if not is_well or readers.writer(settings) is not None else None


def tidy(settings: Settings) -> None:
    """Mend what a killed process has left: finish naming its release, delete the rest."""
    settings.releases_folder.mkdir(parents=True, exist_ok=True)
    for link in settings.home_folder.glob(".warehouse.*.tmp"):
        link.unlink(missing_ok=True)
    name_shown(settings)
    mend_readers(settings)
    for leftover in leftovers(settings):
        leftover.unlink(missing_ok=True)


def leftovers(settings: Settings) -> list[Path]:
    """Return the files that belong to no release, neither a kept one nor the one that is shown."""
    ids, shown = kept_ids(settings), current_id(settings)
    needed = set()
    if shown is not None and shown not in ids:  # `name_shown` was not called since it was killed
        ids = [*ids, shown]
        needed.add(temporary_path(settings, shown))
    needed |= {path for each in ids for path in _beside(kept_path(settings, each))}
    found = [
        path
        for pattern in (".*.tmp*", "*.lookups.sqlite", "*.sha256")
        for path in settings.releases_folder.glob(pattern)
        if path not in needed
    ]
    return [*found, *readers.leftovers(settings)]


def prune(settings: Settings) -> None:
    """Delete all but the newest releases; the one that readers see always stays."""
    current = current_id(settings)
    for release_id in kept_ids(settings)[: -settings.releases_kept]:
        if release_id != current:
            path = kept_path(settings, release_id)
            for file in (path, *_beside(path)):
                file.unlink(missing_ok=True)
