"""Taking releases from an object store, into a home that has no lake of its own."""

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from boathouse import identity, lock, pulled, surroundings
from boathouse.alerts import Alarm
from boathouse.checkpoints import reached
from boathouse.errors import (
    BoathouseError,
    DamagedError,
    IdentityError,
    ReleaseError,
    UsageError,
)
from boathouse.heartbeat import Heartbeat
from boathouse.release import files, lookups
from boathouse.release.about import read_info
from boathouse.release.copying import checksum
from boathouse.release.push import LOOKUPS, RELEASE
from boathouse.release.report import ReleaseInfo
from boathouse.release.store import Current, Store, Stored, StoredFile
from boathouse.settings import Settings

_COMMAND = "boathouse pull"
_ATTEMPTS = 3
_MOST_PAUSE_SECONDS = 60.0


@dataclass(frozen=True)
class PullReport:
    """What `pull` did; `release` is what readers see now."""

    release: ReleaseInfo
    is_new: bool  # readers saw another one before
    bytes_taken: int
    seconds: float


def pull(settings: Settings) -> PullReport:
    """Show the release that is in the object store, and take of it what is not here yet.

    It is checked before anybody sees it: the checksum of each file, and the lake that it is of.

    Raises:
        UsageError: there is no BOATHOUSE_RELEASES.
        ReleaseError: there is no release, or it could not be taken as a whole.
        IdentityError: this home has a lake, or releases of another one.
        DamagedError: what came is not what was put there.
        DeniedError, UnreachableError: the store does not let us in, or does not answer.
        LockTimeoutError: another process that pulls was not done in time.
    """
    return _Pull(settings).once()


def follow(
    settings: Settings,
    *,
    interval: float,
    stop: threading.Event,
    on_pull: Callable[[PullReport], None],
    on_error: Callable[[BoathouseError], None],
) -> None:
    """Pull every `interval` seconds, until `stop` is set; nothing but that ends it.

    In between it gives readers a clean copy when a client has spoilt theirs. What goes wrong is
    told through `on_error`, sent as one alert however often it is met, and tried again after
    pauses that grow. It has the heartbeat of `boathouse watch`.

    Raises:
        UsageError: there is no BOATHOUSE_RELEASES.
    """
    work, alarm, heartbeat = _Pull(settings), Alarm(settings), Heartbeat(settings)
    pause = interval
    while not stop.is_set():
        trouble = ""
        try:
            report = work.once()
            unsent = alarm.clear()
            pause = interval
            if report.is_new:
                with suppress(Exception):  # a terminal that is gone, a disk that is full
                    on_pull(report)
        except Exception as error:
            told = surroundings.told(error, settings)
            trouble = told.message
            unsent = alarm.tell(told, title="Boathouse: no release can be pulled")
            pause = min(max(2 * pause, interval), max(_MOST_PAUSE_SECONDS, interval))
            with suppress(Exception):
                on_error(told)
        for each in unsent:
            with suppress(Exception):
                on_error(each)
        heartbeat.end_round(trouble)
        stop.wait(pause)
    heartbeat.end()


class _Pull:
    """One home that pulls, and what it knows of the store from one time to the next."""

    def __init__(self, settings: Settings) -> None:
        if not settings.releases:
            raise UsageError(
                "There is no address to pull releases from.",
                hint="Set BOATHOUSE_RELEASES to the one that they are released to: "
                "s3://bucket/prefix.",
            )
        self._settings = settings
        self._store: Store | None = None
        self._seen: Current | None = None

    def once(self) -> PullReport:
        started = time.monotonic()
        self._require_no_lake()
        self._store = self._store or Store(self._settings)
        for _ in range(_ATTEMPTS):
            seen = self._seen
            if seen is not None and self._shows(seen.stored) and not self._store.has_changed(seen):
                self._mend()
                return self._report(started, is_new=False)
            found = self._store.current()
            if found is None:
                raise ReleaseError(
                    f"{self._settings.releases} has no release.",
                    hint="Check BOATHOUSE_RELEASES, and that it is set where `boathouse run` is.",
                )
            showed = self._shows(found.stored)
            with lock.writer(self._settings, _COMMAND):
                taken = self._take(self._store, found.stored)
            if taken is not None:
                self._seen = found
                return self._report(started, is_new=taken > 0 or not showed, taken=taken)
            self._seen = None
        raise ReleaseError(
            f"The release in {self._settings.releases} could not be taken as a whole: its files "
            "are not there.",
            hint="`boathouse run`, where it is released, puts them there again.",
        )

    def _report(self, started: float, *, is_new: bool, taken: int = 0) -> PullReport:
        release = files.current_release(self._settings)
        assert release is not None
        return PullReport(release, is_new, taken, time.monotonic() - started)

    def _require_no_lake(self) -> None:
        catalogue = self._settings.catalog_file
        if identity.of_home(self._settings) or (catalogue is not None and catalogue.exists()):
            raise IdentityError(
                f"{self._settings.home_folder} has a lake, and makes its releases itself.",
                hint="Set BOATHOUSE_HOME to another folder, which has nothing but what is pulled.",
            )

    def _mend(self) -> None:
        """Give readers a clean copy when a client has spoilt theirs."""
        if files.spoilt_for_readers(self._settings) is not None:
            with lock.writer(self._settings, _COMMAND):
                files.mend_readers(self._settings)

    def _shows(self, stored: Stored) -> bool:
        """Return whether readers see a release here already."""
        return files.current_id(self._settings) == stored.release_id

    def _take(self, store: Store, stored: Stored) -> int | None:
        """Show a release here, and return the bytes that came; None when its files are gone."""
        settings = self._settings
        files.tidy(settings)
        for each in files.list_releases(settings):
            if each.lake != stored.lake:
                raise IdentityError(
                    f"{settings.home_folder} has releases of {identity.shown(each.lake)}, and "
                    f"{settings.releases} of {identity.shown(stored.lake)}.",
                    hint="Set BOATHOUSE_HOME to an empty folder. Nothing was changed.",
                )
        pulled.note(settings)
        kept = files.kept_path(settings, stored.release_id)
        if not _is(kept, stored.files[RELEASE]) or not _is(
            lookups.beside(kept), stored.files[LOOKUPS]
        ):
            return self._download(store, stored)
        if not self._shows(stored):
            files.show(settings, stored.release_id)
        return 0

    def _download(self, store: Store, stored: Stored) -> int | None:
        temporary = files.temporary_path(self._settings, stored.release_id)
        paths = {RELEASE: temporary, LOOKUPS: lookups.beside(temporary)}
        try:
            for name, path in paths.items():
                if not store.download(stored.files[name], path):
                    return None
                reached("pull:downloaded")
                if not _is(path, stored.files[name]):
                    raise DamagedError(
                        f"{name} of release {stored.release_id} in {self._settings.releases} is "
                        "not what was put there.",
                        hint=f"Delete {store.address_of(stored.files[name])}, and `boathouse run` "
                        "puts it there again. Readers here see what they saw.",
                        place=self._settings.releases,
                    )
            info = read_info(temporary)  # refuses what a newer Boathouse has written
            if info is None or (info.lake, info.release_id) != (stored.lake, stored.release_id):
                raise DamagedError(
                    f"What {self._settings.releases} calls release {stored.release_id} is none.",
                    hint="`boathouse release` puts a new one there; readers here see what they "
                    "saw.",
                    place=self._settings.releases,
                )
            files.publish(self._settings, stored.release_id)
            files.prune(self._settings)
        finally:
            files.tidy(self._settings)
        return stored.size


def _is(path: Path, file: StoredFile) -> bool:
    return path.exists() and path.stat().st_size == file.size and checksum(path) == file.sha256
