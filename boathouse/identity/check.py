"""Holding the parts against each other: what may be written in, and what is refused, and why."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import duckdb

from boathouse import lake_place, pulled
from boathouse.errors import IdentityError
from boathouse.identity import marks
from boathouse.identity.marks import Facts, HomeMark, Mark
from boathouse.settings import Settings
from boathouse.sql import first_row, literal

_RESTORE = "put the last backup back with `boathouse restore <backup> --overwrite`"
_ANEW = "To start anew, set BOATHOUSE_HOME to an empty folder"
_ADOPT = (
    "Check BOATHOUSE_CATALOG, BOATHOUSE_LAKE and BOATHOUSE_HOME, or " + _RESTORE + ". If this "
    "catalogue is the right one, `boathouse adopt` goes on from it. Nothing was written."
)
_ASIDE = "released"


def require_unused(
    settings: Settings, con: duckdb.DuckDBPyConnection | None = None, besides: Mark | None = None
) -> None:
    """Do nothing when a lake may be made here, because nothing speaks for one that was.

    Args:
        settings: Which home, lake and catalogue; the catalogue is missing or empty.
        con: By which a lake in an object store is looked at, too.
        besides: What the lake may carry: it was being made.

    Raises:
        IdentityError: says what was expected, what was found, and what to do.
    """
    if address := pulled.source(settings):
        raise IdentityError(
            f"{settings.home_folder} pulls its releases from {address}, and has no lake.",
            hint="What they are made of is loaded, built and kept where they are made. To have a "
            "lake here as well, set BOATHOUSE_HOME to an empty folder.",
        )
    found = next(_uses(settings, con, besides), None)
    if found is not None:
        raise IdentityError(
            f"{_catalogue(settings)} is not there, or holds nothing, but {found}.",
            hint="Check BOATHOUSE_CATALOG, BOATHOUSE_HOME and BOATHOUSE_LAKE. If the catalogue is "
            f"lost, {_RESTORE}. {_ANEW}. Nothing was written.",
        )


def is_used(settings: Settings, con: duckdb.DuckDBPyConnection) -> bool:
    """Return whether anything speaks for a lake that was made here before."""
    return next(_uses(settings, con, None), None) is not None


def _uses(
    settings: Settings, con: duckdb.DuckDBPyConnection | None, besides: Mark | None
) -> Iterator[str]:
    """Yield what speaks for a lake that was there, as the end of “but …”; what is quick first."""
    home = marks.of_home(settings)
    if home is not None:
        yield f"{settings.home_folder} belongs to {home}"
    if next(_kept(settings), None) is not None:
        yield f"{settings.releases_folder} has releases"
    if settings.warehouse.exists():
        yield f"{settings.warehouse} is there"
    if any(path.is_file() for path in settings.archive_folder.rglob("*")):
        yield f"{settings.archive_folder} has files that were loaded"
    if lake_place.has_files(settings, con):
        yield f"{settings.data_path} has files of a lake"
    mark = marks.of_lake(con, settings)
    if mark is not None and mark != besides:
        yield f"{settings.data_path} belongs to {mark}"


def _catalogue(settings: Settings) -> str:
    path = settings.catalog_file  # an address in PostgreSQL may hold a password
    return "The catalogue in PostgreSQL" if path is None else f"The catalogue {path}"


def check(
    con: duckdb.DuckDBPyConnection,
    settings: Settings,
    facts: Facts,
    home: HomeMark | None,
    *,
    is_writing: bool,
    is_adopting: bool = False,
) -> None:
    """Do nothing when the parts carry the same identity, or may be taken in.

    Different identities, and a catalogue that holds nothing beside a used home, hinder everybody.
    What else speaks against the catalogue hinders who writes, unless a person has said that it is
    the right one (`is_adopting`).

    Raises:
        IdentityError: says what was expected, what was found, and what to do.
    """
    lake = marks.of_lake(con, settings)
    _require_same(settings, facts, home, lake)
    if facts.is_void and (home is None or facts.mark is None):
        require_unused(settings, con, facts.mark)
    if is_writing and not is_adopting:
        error = next(_Suspicion(con, settings, facts, home, lake).found(), None)
        if error is not None:
            raise error


def problem(con: duckdb.DuckDBPyConnection, settings: Settings) -> IdentityError | None:
    """Return why nobody may write in the attached lake; None when nothing hinders."""
    try:
        home, facts = marks.look(con, settings)
        check(con, settings, facts, home, is_writing=True)
    except IdentityError as error:
        return error
    return None


def upgrade_due(con: duckdb.DuckDBPyConnection, settings: Settings) -> str:
    """Return what to say of an attached lake in an older format; empty when it is in this one."""
    if marks.look(con, settings)[1].format == marks.FORMAT:
        return ""
    return f"{settings.home_folder} was written by an older Boathouse: `boathouse run` upgrades it"


def require_one_lake(con: duckdb.DuckDBPyConnection, settings: Settings) -> str:
    """Return the identity of the lake when catalogue and files carry the same, looked at anew.

    Raises:
        IdentityError: they do not.
    """
    marks.forget(settings)
    facts, lake = marks.read_facts(con, settings, None), marks.of_lake(con, settings)
    if facts.mark is None or lake is None or facts.mark.lake != lake.lake:
        raise IdentityError(
            f"The files in {settings.data_path} belong to {lake or 'no lake that is known'}, and "
            f"{_catalogue(settings).lower()} is of {facts.mark or 'none'}.",
            hint="No file was deleted. Check BOATHOUSE_CATALOG and BOATHOUSE_LAKE.",
        )
    return lake.lake


def _require_same(
    settings: Settings, facts: Facts, home: HomeMark | None, lake: Mark | None
) -> None:
    carried = {
        f"the home {settings.home_folder}": home,
        f"the lake {settings.data_path}": lake,
        _catalogue(settings).replace("The", "the", 1): facts.mark,
    }
    known = {part: mark for part, mark in carried.items() if mark is not None}
    if len({mark.lake for mark in known.values()}) > 1:
        told = ", ".join(f"{part} of {mark}" for part, mark in known.items())
        raise IdentityError(
            f"These do not belong together: {told}.",
            hint="Set BOATHOUSE_HOME, BOATHOUSE_CATALOG and BOATHOUSE_LAKE to parts of one lake. "
            f"{_ANEW}; another lake is worked in from a home of its own. Nothing was written.",
        )


@dataclass(frozen=True)
class _Suspicion:
    """What speaks against writing through a catalogue, when no identity contradicts another."""

    con: duckdb.DuckDBPyConnection
    settings: Settings
    facts: Facts
    home: HomeMark | None
    lake: Mark | None

    def found(self) -> Iterator[IdentityError]:
        """Yield the reasons."""
        if self.facts.is_void and self.home is None:
            return
        catalogue = _catalogue(self.settings)
        if self.facts.mark is None and (known := self.lake or self.home) is not None:
            place = self.settings.data_path if self.lake else self.settings.home_folder
            yield IdentityError(
                f"{catalogue} does not say which lake it is of, but {place} belongs to {known}: it "
                "is an older copy, or another one.",
                hint=_ADOPT,
            )
        if self.lake is None and not self._has_its_files():
            yield IdentityError(
                f"{self.settings.data_path} has none of the files that {catalogue.lower()} names, "
                "and does not say which lake it is of.",
                hint=_ADOPT,
            )
        for what in self._older():
            yield IdentityError(
                f"{catalogue} is older than what was made with it: {what}.", hint=_ADOPT
            )

    def _has_its_files(self) -> bool:
        named = lake_place.some_files(self.con, self.settings)
        if not named:
            return not lake_place.has_files(self.settings, self.con)
        return any(lake_place.is_there(self.con, name) for name in named)

    def _older(self) -> Iterator[str]:
        """Yield what home, releases or archive know and the catalogue does not."""
        home, newest = self.home, self.facts.newest
        if home is not None:
            if newest < home.snapshot:
                yield (
                    f"the home has seen snapshot {home.snapshot} of {_time(home.time)}, and the "
                    f"newest in the catalogue is {newest} of {_time(self.facts.newest_time)}"
                )
            elif self.facts.noted_time not in (None, home.time):
                yield (
                    f"the home has seen snapshot {home.snapshot} of {_time(home.time)}, and in "
                    f"the catalogue it is of {_time(self.facts.noted_time or 0)}"
                )
            return
        yield from self._of_releases()
        yield from self._of_archive()

    def _of_releases(self) -> Iterator[str]:
        for release_id, path in _kept(self.settings):
            told = _snapshot_of(self.con, path)
            if told is None:
                continue  # damaged: for others to say
            snapshot, time, lake = told
            mark = self.facts.mark
            if lake is not None and (mark is None or mark.lake != lake):
                yield f"release {release_id} is of {marks.shown(lake)}"
            there = marks.asked_of(
                self.con,
                self.settings,
                "select max(cast(snapshot_time as varchar(40))) as time from ducklake_snapshot "
                f"where snapshot_id = {snapshot}",
                "epoch_us(time::timestamptz)",
            )[0]
            if snapshot > self.facts.newest or there not in (None, time):
                yield f"release {release_id} shows a snapshot {snapshot} of {_time(time)}"
            return

    def _of_archive(self) -> Iterator[str]:
        folders = (path.name for path in self.settings.archive_folder.glob("*/*"))
        archived = max((int(name) for name in folders if name.isdecimal()), default=0)
        known = 0
        with suppress(duckdb.CatalogException):  # nothing was ever loaded
            known = self.con.execute(
                "select coalesce(max(load_id), 0) from lake.meta.loads"
            ).fetchall()[0][0]
        if archived > known:
            yield (
                f"{self.settings.archive_folder} has files of load {archived}, and the newest in "
                f"the ledger is {known}"
            )


def _kept(settings: Settings) -> Iterator[tuple[int, Path]]:
    """Yield kept releases with their files, newest first."""
    files = {
        int(path.stem): path
        for path in settings.releases_folder.glob("*.duckdb")
        if path.stem.isdecimal()
    }
    yield from sorted(files.items(), reverse=True)


def _snapshot_of(con: duckdb.DuckDBPyConnection, path: Path) -> tuple[int, int, str | None] | None:
    """Return snapshot, its time and the lake that a release names; None when it cannot be read."""
    try:
        con.execute(f"attach {literal(str(path))} as {_ASIDE} (read_only)")
    except duckdb.Error:
        return None
    try:
        told = first_row(con, f"from {_ASIDE}.meta.release")
        time = told["lake_snapshot_time"].replace(tzinfo=UTC)
        return told["lake_snapshot"], round(time.timestamp() * 1e6), told.get("lake")
    except (duckdb.Error, IndexError, KeyError):
        return None
    finally:
        con.execute(f"detach {_ASIDE}")


def _time(microseconds: int) -> str:
    return f"{datetime.fromtimestamp(microseconds / 1e6, UTC):%Y-%m-%d %H:%M:%S} UTC"
