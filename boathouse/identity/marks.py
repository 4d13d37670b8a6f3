"""What the parts carry: reading it, and writing it into home, lake and catalogue."""

import json
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import duckdb

from boathouse import lake_place, notes
from boathouse.errors import IdentityError
from boathouse.settings import Settings
from boathouse.sql import literal

FORMAT = 2  # of all that Boathouse writes; what carries nothing is from before it was counted
FILE = "boathouse.json"
META = "__ducklake_metadata_lake"
LAKE_KEY = "boathouse_lake"
FORMAT_KEY = "boathouse_format"
SINCE_KEY = "boathouse_format_since"  # the snapshot from which on tables are in that format
UPGRADING_KEY = "boathouse_upgrading"  # where the catalogue is kept as it was before
OUR_KEYS = (LAKE_KEY, FORMAT_KEY, SINCE_KEY, UPGRADING_KEY)
UNCOUNTED = 0
_SHOWN = 8  # characters of an identity


def shown(lake: str | None) -> str:
    """Return a lake's identity as people are shown it."""
    return f"lake {lake[:_SHOWN]}" if lake else "a lake without a name"


@dataclass(frozen=True)
class Mark:
    """What a part carries: the lake it belongs to, and the format it was written in."""

    lake: str
    format: int

    def __str__(self) -> str:
        return shown(self.lake)


@dataclass(frozen=True)
class HomeMark(Mark):
    """What a home carries: also the newest snapshot that it has seen."""

    snapshot: int
    time: int  # when that was made, in microseconds since 1970


@dataclass(frozen=True)
class Facts:
    """What an attached catalogue says of itself."""

    data_path: str
    mark: Mark | None
    newest: int  # snapshot; 0 as long as nothing was written
    newest_time: int  # microseconds since 1970
    noted_time: int | None  # of the snapshot that the home has noted; None when it is not there

    @property
    def is_void(self) -> bool:
        """Return whether nothing was ever written through this catalogue."""
        return self.newest == 0

    @property
    def format(self) -> int:
        """Return the format that the lake's own tables are in, or are going to be made in."""
        if self.mark is not None:
            return self.mark.format
        return FORMAT if self.is_void else UNCOUNTED


def of_home(settings: Settings) -> HomeMark | None:
    """Return what the home carries; None when it carries nothing that can be read.

    Raises:
        IdentityError: a newer Boathouse has written it.
    """
    told = _read(settings.home_folder / FILE)
    mark = _mark(told, f"The home {settings.home_folder}")
    if mark is None:
        return None
    return HomeMark(mark.lake, mark.format, int(told.get("snapshot", 0)), int(told.get("time", 0)))


def of_lake(con: duckdb.DuckDBPyConnection | None, settings: Settings) -> Mark | None:
    """Return what the folder or prefix of the lake's files carries.

    An object store is asked once in the life of a process, and not without a connection.

    Raises:
        IdentityError: a newer Boathouse has written it.
    """
    if "://" not in settings.data_path:
        return _mark(_read(Path(settings.data_path) / FILE), f"The lake {settings.data_path}")
    if settings.data_path not in _stored:
        if con is None:
            return None
        mark = _mark(_read_object(con, _object(settings)), f"The lake {settings.data_path}")
        if mark is None:
            return None
        _stored[settings.data_path] = mark
    return _stored[settings.data_path]


_stored: dict[str, Mark] = {}


def forget(settings: Settings) -> None:
    """Have the object store asked anew."""
    _stored.pop(settings.data_path, None)


def _mark(told: dict[str, Any], what: str) -> Mark | None:
    lake, written = told.get("lake"), told.get("format")
    if not isinstance(lake, str) or not lake or not isinstance(written, int):
        return None
    require_known(written, what)
    return Mark(lake, written)


def require_known(written: int, what: str) -> None:
    """Do nothing when this version knows the format that something was written in.

    Raises:
        IdentityError: it is a newer one; begins with `what`.
    """
    if written > FORMAT:
        raise IdentityError(
            f"{what} was written by a newer Boathouse (format {written}; this one knows up to "
            f"{FORMAT}).",
            hint="Use that version, or a newer one. Nothing was changed.",
        )


def _read(path: Path) -> dict[str, Any]:
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # not there, or torn when the machine went down
        return {}
    return told if isinstance(told, dict) else {}


def _object(settings: Settings) -> str:
    return f"{settings.data_path.rstrip('/')}/{FILE}"


def _read_object(con: duckdb.DuckDBPyConnection, address: str) -> dict[str, Any]:
    if not lake_place.is_there(con, address):
        return {}
    text = con.execute(f"select content from read_text({literal(address)})").fetchall()[0][0]
    with suppress(ValueError):
        told = json.loads(text)
        return told if isinstance(told, dict) else {}
    return {}


def look(con: duckdb.DuckDBPyConnection, settings: Settings) -> tuple[HomeMark | None, Facts]:
    """Return what the home carries, and then what the attached catalogue says of itself.

    In this order: a catalogue only gets newer than what a home has noted.
    """
    home = of_home(settings)
    return home, read_facts(con, settings, home)


def read_facts(con: duckdb.DuckDBPyConnection, settings: Settings, home: HomeMark | None) -> Facts:
    """Return what the attached catalogue says of itself, in answer to one question.

    Raises:
        IdentityError: a newer Boathouse has written it.
    """
    time, noted = "cast(snapshot_time as varchar(40))", home.snapshot if home else 0
    asked = f"""
        select
            (select max(value) from ducklake_metadata where key = 'data_path' and scope is null)
                as data_path,
            (select max(value) from ducklake_metadata where key = '{LAKE_KEY}') as lake,
            (select max(value) from ducklake_metadata where key = '{FORMAT_KEY}') as written,
            snapshot_id as newest,
            {time} as newest_time,
            (select {time} from ducklake_snapshot where snapshot_id = {noted}) as noted_time
        from ducklake_snapshot
        order by snapshot_id desc
        limit 1
    """
    data_path, lake, written, newest, newest_time, noted_time = asked_of(
        con,
        settings,
        asked,
        "data_path, lake, written::integer, newest::bigint, "
        "epoch_us(newest_time::timestamptz), epoch_us(noted_time::timestamptz)",
    )
    mark = _mark({"lake": lake, "format": written}, "The lake's catalogue")
    return Facts(data_path, mark, newest, newest_time, noted_time)


def asked_of(
    con: duckdb.DuckDBPyConnection, settings: Settings, query: str, columns: str
) -> tuple[Any, ...]:
    """Return the first row of a query that the catalogue's own database answers."""
    function = "sqlite_query" if settings.postgres is None else "postgres_query"
    rows = con.execute(f"select {columns} from {function}('{META}', {literal(query)})").fetchall()
    return rows[0]


def write_home(settings: Settings, mark: HomeMark) -> None:
    """Note in the home what it carries, at once or not at all."""
    notes.write(settings.home_folder / FILE, asdict(mark))


def write_lake(con: duckdb.DuckDBPyConnection, settings: Settings, mark: Mark) -> None:
    """Note in the folder or prefix of the lake's files whose they are."""
    if "://" not in settings.data_path:
        write_folder(Path(settings.data_path), mark)
        return
    con.execute(
        f"copy (select {literal(mark.lake)} as lake, {mark.format} as format) "
        f"to {literal(_object(settings))} (format json)"
    )


def write_folder(folder: Path, mark: Mark) -> None:
    """Note in a folder of a lake's files whose they are."""
    notes.write(folder / FILE, {"lake": mark.lake, "format": mark.format})


def write_catalog(con: duckdb.DuckDBPyConnection, mark: Mark, since: int = 0) -> None:
    """Note in the attached catalogue which lake it is of, and its format; at once or not at all.

    `since` is the snapshot from which on its tables are in that format.
    """
    told = {LAKE_KEY: mark.lake, FORMAT_KEY: str(mark.format), SINCE_KEY: str(since)}
    values = ", ".join(f"({literal(key)}, {literal(value)})" for key, value in told.items())
    table = f"{META}.ducklake_metadata"
    con.execute("begin transaction")
    try:
        con.execute(f"delete from {table} where key in ({', '.join(map(literal, OUR_KEYS))})")
        con.execute(f"insert into {table} (key, value) values {values}")
        con.execute("commit")
    except BaseException:
        with suppress(duckdb.Error):
            con.execute("rollback")
        raise


def raise_format(con: duckdb.DuckDBPyConnection, settings: Settings) -> Mark:
    """Let files and home say that they are in this version's format, and return their mark.

    The catalogue, which carries an identity already, is left to `write_catalog`.
    """
    _, facts = look(con, settings)
    assert facts.mark is not None
    mark = Mark(facts.mark.lake, FORMAT)
    write_lake(con, settings, mark)
    forget(settings)
    write_home(settings, HomeMark(mark.lake, FORMAT, facts.newest, facts.newest_time))
    return mark
