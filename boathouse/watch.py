"""Running the main job whenever files arrive, in one warm process."""

import threading
from collections.abc import Callable

from boathouse import lock, pipeline
from boathouse.alerts import Alarm
from boathouse.build import Manifest, prepare_manifest, project_hash
from boathouse.contracts import load_contracts
from boathouse.errors import BoathouseError, UnexpectedError
from boathouse.ingest import deliveries
from boathouse.release import files
from boathouse.settings import Settings


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
    Returns when `stop` is set. A run that fails is told through `on_error` and tried again
    when the next files arrive; what it loaded stays loaded. Each distinct failure is also sent
    as an alert, once until a run has gone well again. Nothing but a signal ends it.
    """
    alarm = Alarm(settings)
    manifest: Manifest | None = None
    parsed_project = ""
    is_first = True
    while not stop.is_set():
        try:
            project = project_hash(settings.project)
            contracts = load_contracts(settings.project)
            has_news = deliveries.find(settings, contracts).count > 0
            if is_first or has_news or project != parsed_project:
                is_first = False
                if project != parsed_project:
                    manifest, parsed_project = prepare_manifest(settings), project
                report = pipeline.run(settings, command="boathouse watch", manifest=manifest)
                alarm.clear()
                on_run(report)
            elif files.spoilt_for_readers(settings) is not None:
                with lock.writer(settings, "boathouse watch"):
                    files.mend_readers(settings)
        except Exception as error:
            told = error if isinstance(error, BoathouseError) else UnexpectedError(error)
            on_error(told)
            for unsent in alarm.tell(told, title="Boathouse: a run failed"):
                on_error(unsent)
        stop.wait(interval)
