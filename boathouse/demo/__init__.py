"""Believable raw files for every source, made from a seed: what `boathouse generate` writes.

Here: the registry of generators and the one call that runs them. What a source's data looks
like is in the module of its domain; what the domains share is in `common`. A new domain is one
more module and its entries in `GENERATORS`.
"""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from boathouse.demo import (
    actions,
    courier,
    fleet,
    music,
    purchases,
    sessions,
    students,
    telemetry,
    vehicles,
)
from boathouse.demo.common import DemoOptions, GeneratedFile, Generator
from boathouse.errors import UsageError

__all__ = ["GENERATORS", "DemoOptions", "GeneratedFile", "Generator", "generate"]

GENERATORS: dict[str, Generator] = {
    "session_events": sessions.write_session_events,
    "student_performance": students.write_student_performance,
    "purchases": purchases.write_purchases,
    "actions": actions.write_actions,
    "fleet_readings": fleet.write_fleet_readings,
    "vehicle_events": vehicles.write_vehicle_events,
    "vehicle_statuses": vehicles.write_vehicle_statuses,
    "game_events": telemetry.write_game_events,
    "courier_messages": courier.write_courier_messages,
    "courier_orders": courier.write_courier_orders,
    "songs": music.write_songs,
    "listening_events": music.write_listening_events,
}
"""Name of the source (its raw table) -> its generator."""


def generate(
    landing: Path, sources: Iterable[str], options: DemoOptions | None = None
) -> list[GeneratedFile]:
    """Write demo files for the sources into `landing/<source>/`.

    Files of the same name are replaced, each in one atomic step.

    Args:
        landing: The landing folder; it and the sources' folders are made when missing.
        sources: Names of sources; all are checked before the first file is written.
        options: How much, which days, which seed, how dirty; the defaults when left out.

    Returns:
        Every file written, in the order of writing, with its number of records.

    Raises:
        UsageError: A source has no generator.
    """
    options = options or DemoOptions()
    # The default last day is fixed once: a run over midnight writes one range of days.
    options = replace(options, until=options.last_day)
    wanted = list(dict.fromkeys(sources))
    unknown = [source for source in wanted if source not in GENERATORS]
    if unknown:
        raise UsageError(
            f"No demo data for: {', '.join(unknown)}.",
            hint=f"Sources with demo data: {', '.join(sorted(GENERATORS))}.",
        )
    files: list[GeneratedFile] = []
    for source in wanted:
        folder = landing / source
        folder.mkdir(parents=True, exist_ok=True)
        files.extend(GENERATORS[source](folder, options))
    return files
