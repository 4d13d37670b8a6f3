"""Running the main job whenever files arrive, in one warm process."""

import threading
from collections.abc import Callable

from boathouse import pipeline
from boathouse.alerts import Alarm
from boathouse.build import Manifest, prepare_manifest, project_hash
from boathouse.contracts import load_contracts
from boathouse.errors import BoathouseError
from boathouse.ingest import deliveries
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

    Returns when `stop` is set. A run that fails is told through `on_error` and tried again
    when the next files arrive; what it loaded stays loaded. Each distinct failure is also sent
    as an alert, once until a run has gone well again.
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
        except BoathouseError as error:
            on_error(error)
            for unsent in alarm.tell(error, title="Boathouse: a run failed"):
                on_error(unsent)
        stop.wait(interval)
