"""One look at everything: sources, what waits, the last build, the current release."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from boathouse import catalog, identity, lake, lock, pulled
from boathouse.build.report import INTERRUPTED
from boathouse.contracts import load_contracts
from boathouse.errors import IdentityError
from boathouse.ingest import deliveries
from boathouse.release import current_release, held_back
from boathouse.release.opened import opened
from boathouse.settings import Settings

_RUNNING = "running"


@dataclass(frozen=True)
class SourceStatus:
    """A source's state; times are UTC."""

    source: str
    domain: str
    files_waiting: int
    last_file: str | None
    last_loaded_at: datetime | None
    last_event_at: datetime | None
    rows: int
    rows_rejected: int
    files_rejected: int

    @property
    def age_hours(self) -> float | None:
        """Return the hours since the last load, or None when nothing was ever loaded."""
        if self.last_loaded_at is None:
            return None
        return (datetime.now(UTC).replace(tzinfo=None) - self.last_loaded_at).total_seconds() / 3600


@dataclass(frozen=True)
class BuildStatus:
    """The last build; times are UTC.

    `status` is `success`, `error`, `running`, or `interrupted`: it ended before all was done.
    """

    build_id: int
    command: str
    status: str
    started_at: datetime
    finished_at: datetime | None
    failed: list[str]

    @property
    def is_interrupted(self) -> bool:
        """Return whether it ended before it was done, and nobody goes on with it."""
        return self.status == INTERRUPTED


@dataclass(frozen=True)
class Status:
    """Everything `boathouse status` shows."""

    home: str
    writer: str | None
    sources: list[SourceStatus]
    last_build: BuildStatus | None
    blockers: list[str]
    current_release: Any
    pulled_from: str  # where the releases come from, of a home without a lake; else empty
    landing_trouble: str  # why nobody can tell what waits in `BOATHOUSE_LANDING`; else empty

    def as_dict(self) -> dict[str, Any]:
        """Return everything as plain values, for JSON."""
        return asdict(self)


def collect(settings: Settings) -> Status:
    """Return the state of the warehouse; reads only, and works before there is any lake.

    Of a home that pulls its releases it is what the current one tells.
    """
    contracts = load_contracts(settings.project)
    found = deliveries.find(settings.model_copy(update={"settle_seconds": 0}), contracts)
    waiting = {source: len(files) for source, files in found.by_source.items()}
    writer = lock.holder(settings) if lock.is_held(settings) else None
    facts: dict[str, tuple[Any, ...]] = {}
    last_build, blockers = None, []
    current, address = current_release(settings), pulled.source(settings)
    try:
        if address and current is not None:
            with _release_as_lake(current.path) as opened:
                facts = {row[0]: row[1:] for row in opened.rows(_SOURCES)}
                last_build = _noted_build(opened)
        elif lake.exists(settings):
            with lake.connect(settings, read_only=True) as opened:
                if settings.postgres is not None:
                    writer = lock.shared_holder(opened.con)
                if error := identity.problem(opened.con, settings):
                    raise error
                if catalog.has_meta(opened):
                    facts = {row[0]: row[1:] for row in opened.rows(_SOURCES)}
                    last_build = find_last_build(opened, settings)
                    if due := identity.upgrade_due(opened.con, settings):
                        blockers = [due]
                    else:
                        blockers = [str(blocker) for blocker in held_back(opened, settings)]
    except IdentityError as error:
        blockers = [str(error)]
    nothing = (None, None, None, 0, 0, 0)
    sources = [
        SourceStatus(name, contract.domain, waiting.get(name, 0), *facts.get(name, nothing))
        for name, contract in contracts.items()
    ]
    return Status(
        str(settings.home_folder),
        str(writer) if writer is not None else None,
        sources,
        last_build,
        blockers,
        current,
        address,
        str(found.trouble or ""),
    )


@contextmanager
def _release_as_lake(path: Path) -> Iterator[lake.Lake]:
    """Open a release, whose schema `meta` has what the lake's had, in the place of the lake."""
    with opened(path, lake.NAME) as con:
        yield lake.Lake(con)


_SOURCES = """
    with loads as (
        select
            source,
            max_by(file_name, (load_id, file_name)) filter (status = 'loaded') as last_file,
            max(loaded_at) filter (status = 'loaded') as last_loaded_at,
            coalesce(sum(rows_loaded) filter (status = 'loaded'), 0)::bigint as row_count,
            count(distinct file_name) filter (status = 'rejected') as rejected_files
        from lake.meta.loads
        group by source
    ),

    rejects as (
        select rejects.source, count(*) as row_count
        from lake.meta.rejected_rows as rejects
        inner join lake.meta.loads as loads
            on rejects.load_id = loads.load_id and rejects.file_name = loads.file_name
        where rejects.replayed_at is null and loads.status = 'loaded'
        group by rejects.source
    )

    select
        loads.source,
        loads.last_file,
        loads.last_loaded_at,
        freshness.last_event_at,
        loads.row_count,
        coalesce(rejects.row_count, 0),
        loads.rejected_files
    from loads
    left join rejects on loads.source = rejects.source
    left join lake.meta.source_freshness as freshness on loads.source = freshness.source
"""


def find_last_build(opened: lake.Lake, settings: Settings) -> BuildStatus | None:
    """Return the last build; one that is noted as running and whose process is gone was stopped."""
    last = _noted_build(opened)
    if last is None or last.status != _RUNNING or _is_alive(last, opened, settings):
        return last
    again = _noted_build(opened)  # it may have ended between the two looks
    assert again is not None
    return again if again.status != _RUNNING else replace(again, status=INTERRUPTED)


def _is_alive(build: BuildStatus, opened: lake.Lake, settings: Settings) -> bool:
    """Return whether the process of a running build still holds the lock, as all of them do."""
    if settings.postgres is not None:
        holder = lock.shared_holder(opened.con)
    elif lock.is_held(settings):
        holder = lock.holder(settings)
        if holder is None:
            return True
    else:
        holder = None
    if holder is None:
        return False
    # Whoever took the lock after the build began does not run it.
    return not holder.since or datetime.fromisoformat(holder.since) <= build.started_at


def _noted_build(opened: lake.Lake) -> BuildStatus | None:
    rows = opened.rows(
        "select build_id, command, status, started_at, finished_at "
        "from lake.meta.builds order by build_id desc limit 1"
    )
    if not rows:
        return None
    build_id, command, status, started_at, finished_at = rows[0]
    failed = opened.rows(
        "select name from lake.meta.build_results "
        f"where build_id = {build_id} and status in ('error', 'fail') order by name"
    )
    return BuildStatus(
        build_id, command, status, started_at, finished_at, [name for (name,) in failed]
    )
