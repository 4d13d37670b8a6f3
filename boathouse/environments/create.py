"""Making an environment: beside, from a copy of the catalogue and links to files, then named.

The files are hard links: the main home's maintenance deletes its own names for them and the
environment's stay, and the other way round. Where there can be no link (another file system, files
of somebody else) a file is copied. DuckLake never writes into a file that is there.
"""

import json
import os
import shutil
import sqlite3
from collections.abc import Iterable
from contextlib import closing, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb

from boathouse import identity, lake, lake_files, lock
from boathouse.backup.catalog_copy import copy_catalog
from boathouse.build.dbt import Folders
from boathouse.checkpoints import reached
from boathouse.environments import place, rewind
from boathouse.errors import LakeError, UsageError
from boathouse.maintain.removal import files_lock
from boathouse.release.copying import copy
from boathouse.settings import ENVIRONMENT_FILE, Settings
from boathouse.sql import identifier

_CATALOG = "catalog.sqlite"
_MIXED = "mixed"
_SHOWN = 3


@dataclass(frozen=True)
class Created:
    """An environment that was made."""

    name: str
    home: Path
    from_snapshot: int
    files_linked: int  # of the lake, not copied
    files_copied: int  # because no link could be made
    bytes_copied: int
    files_rewritten: int  # because they hold rows from after the snapshot too
    state: Path | None  # folder of the manifest to give to dbt's --state
    writer: str  # who was writing in the main home then, empty when nobody was

    def as_dict(self) -> dict[str, Any]:
        """Return everything as plain values, for JSON."""
        return asdict(self)


def create(settings: Settings, name: str, *, from_snapshot: int | None = None) -> Created:
    """Make an environment of a home and return what it is.

    It takes no writer lock: the main home may be written in meanwhile, and is not changed.

    Args:
        settings: The main home.
        name: Of the environment.
        from_snapshot: How the lake was, by default is, in it; see `boathouse releases`.

    Raises:
        UsageError: the name is taken or none, the snapshot is not there (any more), or catalogue
            or files are not on this machine.
        LakeError: there is no lake, or a file of it is missing or damaged.
        IdentityError: home, lake and catalogue do not belong together, or are of a newer format.
    """
    place.check_name(name)
    place.require_main(settings)
    _require_local(settings)
    with lake.connect(settings, read_only=True):
        pass  # it is there, and of one piece, and this version knows its format
    home = place.folder(settings) / name
    with place.guard(settings):
        place.sweep(settings)
        if home.exists():
            raise UsageError(
                f"{home} is there already.", hint=f"`boathouse env drop {name}` removes it."
            )
        part = place.creating(settings, name)
        try:
            with files_lock(settings):  # while it is held, nobody deletes files of the lake
                created = _Creation(settings, part, home).run(from_snapshot)
            part.rename(home)
        except BaseException:
            shutil.rmtree(part, ignore_errors=True)
            raise
    return created


def _require_local(settings: Settings) -> None:
    if settings.postgres is not None:
        raise UsageError(
            "The lake's catalogue is in PostgreSQL, and an environment is made from a copy of a "
            "SQLite one.",
            hint="Give the person a database and a prefix of their own (BOATHOUSE_CATALOG, "
            "BOATHOUSE_LAKE, BOATHOUSE_HOME) and load the archive there. See docs/environments.md.",
        )
    if not lake_files.is_local(settings):
        raise UsageError(
            f"The lake's files are in an object store ({settings.data_path}), where two lakes "
            "cannot share a file so that each may delete it.",
            hint="Give the person a prefix of their own (BOATHOUSE_LAKE, BOATHOUSE_HOME) and load "
            "the archive there. See docs/environments.md.",
        )


class _Creation:
    """One call of `create`; what it leaves in `part` works once it is renamed to `home`."""

    def __init__(self, settings: Settings, part: Path, home: Path) -> None:
        self._settings = settings
        self._part = place.settings_at(settings, part)
        self._made = place.settings_at(settings, home)
        self._catalog = part / _CATALOG
        self._lake = Path(self._part.data_path)

    def run(self, from_snapshot: int | None) -> Created:
        """Make everything."""
        folder = self._part.home_folder
        folder.mkdir(parents=True)
        writer = lock.holder(self._settings) if lock.is_held(self._settings) else None
        copy_catalog(Path(self._settings.catalog_uri.removeprefix("sqlite:")), self._catalog)
        mark = identity.Mark(identity.new(), identity.FORMAT)
        with closing(sqlite3.connect(self._catalog)) as con, con:
            snapshot, is_newest = rewind.choose(con, from_snapshot)
            written = rewind.format_of(con, snapshot)
            rewind.keep_only(con, snapshot)
            rewind.move(con, self._lake)
            rewind.give_identity(con, mark)
            wanted = rewind.files(con)
        reached("env:catalog-copied")
        linked, copied = self._take(wanted)
        identity.write_folder(self._lake, mark)
        reached("env:files-linked")
        rewritten = 0 if is_newest else self._write_mixed_anew(snapshot)
        self._finish(snapshot, identity.Mark(mark.lake, written))
        state = self._keep_state()
        told = {
            "name": self._made.home_folder.name,
            "from_snapshot": snapshot,
            "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        (folder / ENVIRONMENT_FILE).write_text(json.dumps(told) + "\n", encoding="utf-8")
        for path in (folder / ENVIRONMENT_FILE, self._catalog):
            _sync(path)
        reached("env:written")
        return Created(
            name=self._made.home_folder.name,
            home=self._made.home_folder,
            from_snapshot=snapshot,
            files_linked=linked,
            files_copied=len(copied),
            bytes_copied=sum(copied),
            files_rewritten=rewritten,
            state=state,
            writer=str(writer) if writer else "",
        )

    def _take(self, wanted: Iterable[str]) -> tuple[int, list[int]]:
        """Bring files of the lake here; return how many are links, and the sizes of the others."""
        linked, copied = 0, []
        source = Path(self._settings.data_path)
        for path in wanted:
            target = self._lake / path
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                target.hardlink_to(source / path)
                linked += 1
            except FileNotFoundError as error:
                raise _damaged([f"{source / path}: {error.strerror}"]) from error
            except OSError:  # another file system, another owner, too many links
                copy(source / path, target)
                copied.append(target.stat().st_size)
        return linked, copied

    def _write_mixed_anew(self, snapshot: int) -> int:
        """Write the rows of files that hold later ones too into new files; return how many."""
        with closing(sqlite3.connect(self._catalog)) as con:
            mixed = rewind.mixed(con, snapshot, self._lake)
        if not mixed:
            return 0
        aside = self._part.home_folder / f"{_MIXED}.sqlite"
        shutil.copyfile(self._catalog, aside)
        with closing(sqlite3.connect(self._catalog)) as con, con:
            rewind.leave_out(con, mixed)
        with closing(sqlite3.connect(aside)) as con, con:
            tables = rewind.leave_only(con, mixed)
            files = rewind.files(con)
        with (
            lake.connect(self._part) as opened,
            lake.beside(
                opened, self._part.model_copy(update={"catalog": f"sqlite:{aside}"}), _MIXED
            ),
        ):
            opened.write(lambda con: _copy_rows(con, tables), "rows of files with later ones")
        with closing(sqlite3.connect(self._catalog)) as con, con:
            rewind.renumber(con, snapshot)
        for path in (*(self._lake / file for file in files), *aside.parent.glob(f"{aside.name}*")):
            path.unlink()
        return len(mixed)

    def _finish(self, snapshot: int, mark: identity.Mark) -> None:
        """Make sure that the lake opens and is whole, and tell it what and where it is to be.

        Whoever first writes in it upgrades it; until here nobody was to.
        """
        with closing(sqlite3.connect(self._catalog)) as con, con:
            rewind.count_anew(con)
        with lake.connect(self._part, read_only=True) as opened:
            damaged = lake_files.damaged(lake_files.referenced(opened, self._part))
            found = opened.current_snapshot()
        if damaged:
            raise _damaged([str(each) for each in damaged])
        if found != snapshot:
            raise LakeError(
                f"The environment is at snapshot {found}, not {snapshot}.",
                hint="Nothing was made. This is a defect to report.",
            )
        with closing(sqlite3.connect(self._catalog)) as con:
            with con:
                rewind.move(con, Path(self._made.data_path))
                rewind.give_identity(con, mark)
            con.execute("vacuum")

    def _keep_state(self) -> Path | None:
        """Copy the manifest of the project as the main home has built it, if it has one."""
        target = self._part.home_folder / place.STATE / "manifest.json"
        target.parent.mkdir()
        with suppress(FileNotFoundError):
            shutil.copyfile(Folders(self._settings).manifest, target)
            return self._made.home_folder / place.STATE
        target.parent.rmdir()
        return None


def _copy_rows(con: duckdb.DuckDBPyConnection, tables: list[tuple[str, str]]) -> None:
    for schema, table in tables:
        name = f"{identifier(schema)}.{identifier(table)}"
        con.execute(f"insert into lake.{name} select * from {_MIXED}.{name}")


def _damaged(lines: list[str]) -> LakeError:
    return LakeError(
        f"{len(lines)} files of the lake are missing or damaged:\n  " + "\n  ".join(lines[:_SHOWN]),
        hint="Nothing was made. `boathouse doctor` says what to do about each.",
    )


def _sync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
