"""Running the main job whenever files arrive, in one warm process."""

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from boathouse import lock, pipeline
from boathouse.alerts import Alarm
from boathouse.build import Manifest, prepare_manifest, project_hash
from boathouse.contracts import load_contracts
from boathouse.errors import (
    BoathouseError,
    BuildError,
    ContractError,
    UnreadError,
)
from boathouse.heartbeat import Heartbeat
from boathouse.ingest import deliveries
from boathouse.ingest.deliveries import Delivery
from boathouse.ingest.report import LoadReport
from boathouse.release import files
from boathouse.settings import Settings
from boathouse.surroundings import told

FIRST_PAUSE_SECONDS = 1.0
MOST_PAUSE_SECONDS = 60.0
# For what is mended by other files or models, which are tried at once, or not at all.
MOST_PAUSE_OF_DATA_SECONDS = 3600.0
_OF_DATA = (BuildError, ContractError)


def watch(
    settings: Settings,
    *,
    interval: float,
    stop: threading.Event,
    on_run: Callable[[pipeline.RunReport], None],
    on_error: Callable[[BoathouseError], None],
) -> None:
    """Look into landing every `interval` seconds and run the main job when files wait.

    In between it gives readers a clean copy of the release when a client has spoilt theirs.
    Returns when `stop` is set. A run that fails is told through `on_error` and tried again, after
    pauses that grow, or at once when models or deliveries have changed that it may have failed
    for; what it loaded stays loaded. Each trouble is sent as one alert, however often it is met,
    files that could not be read among them, and another one says that all is well again. Nothing
    but a signal ends it.
    """
    _Watch(settings, stop, on_run, on_error).run(interval)


class _Watch:
    """One watch, and what it knows from one look to the next."""

    def __init__(
        self,
        settings: Settings,
        stop: threading.Event,
        on_run: Callable[[pipeline.RunReport], None],
        on_error: Callable[[BoathouseError], None],
    ) -> None:
        self._settings = settings
        self._stop = stop
        self._on_run = on_run
        self._on_error = on_error
        self._alarm = Alarm(settings)
        self._heartbeat = Heartbeat(settings)
        self._manifest: Manifest | None = None
        self._parsed_project = ""
        self._is_due = True  # a run, whether there is news or not: the first, or after a trouble
        self._trouble: BoathouseError | None = None
        self._tried_project = ""
        self._tried_files: set[Delivery] | None = None
        self._next_try = 0.0
        self._pause = FIRST_PAUSE_SECONDS
        self._unread: UnreadError | None = None  # until somebody has been told

    def run(self, interval: float) -> None:
        """Look again and again until told to stop."""
        while not self._stop.is_set():
            try:
                self._look()
            except Exception as error:
                self._note(told(error, self._settings))
            self._heartbeat.end_round(self._trouble.message if self._trouble else "")
            self._stop.wait(interval)
        self._heartbeat.end()

    def _look(self) -> None:
        is_time = time.monotonic() >= self._next_try
        if not is_time and not isinstance(self._trouble, _OF_DATA):
            return
        project = project_hash(self._settings.project)
        if is_time or project != self._tried_project:
            self._tried_project, self._tried_files = project, None
        elif self._tried_files is None:
            return  # it did not get as far as the files
        contracts = load_contracts(self._settings.project)
        waiting = deliveries.find(self._settings, contracts)
        found = {file for files in waiting.by_source.values() for file in files}
        if self._tried_files is not None and found <= self._tried_files:
            return
        self._tried_files = found
        if self._is_due or found or project != self._parsed_project:
            self._run(project)
            return
        waiting.require_reached()
        if files.spoilt_for_readers(self._settings) is not None:
            with lock.writer(self._settings, "boathouse watch"):
                files.mend_readers(self._settings)

    def _run(self, project: str) -> None:
        self._is_due = True  # until it has gone well
        if project != self._parsed_project:
            self._manifest, self._parsed_project = prepare_manifest(self._settings), project
        report = pipeline.run(
            self._settings,
            command="boathouse watch",
            manifest=self._manifest,
            on_load=lambda *_: self._beat(),
            on_build=lambda _: self._beat(),
            on_step=lambda _: self._beat(),
        )
        self._is_due = False
        _tell(self._on_run, report)
        report.load.require_reached()
        self._note_done(report.load)

    def _beat(self) -> None:
        self._heartbeat.beat(self._trouble.message if self._trouble else "")

    def _note(self, error: BoathouseError) -> None:
        """Tell of a trouble, and wait longer before the next try than before the last one."""
        most = MOST_PAUSE_OF_DATA_SECONDS if isinstance(error, _OF_DATA) else MOST_PAUSE_SECONDS
        self._trouble, self._is_due = error, True
        self._next_try = time.monotonic() + min(self._pause, most)
        self._pause = min(2 * self._pause, most)
        _tell(self._on_error, error)
        for unsent in self._alarm.tell(error, title="Boathouse: a run failed"):
            _tell(self._on_error, unsent)

    def _note_done(self, loaded: LoadReport) -> None:
        """Tell that all is well again, unless there are files that could not be read."""
        self._trouble, self._next_try, self._pause = None, 0.0, FIRST_PAUSE_SECONDS
        self._unread = _unread(loaded) or self._unread
        if self._unread is None:
            unsent = self._alarm.clear()
        else:
            unsent = self._alarm.tell(self._unread, title="Boathouse: files were set aside")
        if not unsent:
            self._unread = None
        for error in unsent:
            _tell(self._on_error, error)


def _unread(loaded: LoadReport) -> UnreadError | None:
    files = [f"{each.source}/{each.file}: {each.reason}" for each in loaded.unread]
    if not files:
        return None
    return UnreadError(
        f"{len(files)} could not be read and were set aside; all others are loaded.\n"
        + "\n".join(files),
        hint="`boathouse quarantine replay` tries them again.",
        place=", ".join(sorted({each.source for each in loaded.unread})),
    )


def _tell(listener: Callable[[Any], None], what: object) -> None:
    """Tell somebody; who does not listen, as when a terminal is gone or a disk full, is let be."""
    with suppress(Exception):
        listener(what)
