"""Where the lake's files are: what the settings say, and what the catalogue says.

DuckLake's catalogue keeps one absolute folder, below which all names are relative. A home that was
moved, copied or is mounted elsewhere still names the folder it was in before. When catalogue and
files both lie in the home, the home is right, and the next writer tells the catalogue so; anything
else that does not match is refused, since a copy must never reach for the files of its original.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb

from boathouse import disk
from boathouse.errors import LakeError
from boathouse.settings import Settings
from boathouse.sql import literal

_META = "__ducklake_metadata_lake"
_WITH_PATHS = ("data_file", "delete_file", "files_scheduled_for_deletion", "schema", "table")
_LOOKED_FOR = 100
_OWNER = ".catalogue"
_ATTEMPTS = 10
_TOP = 2  # parts of a path such as /data
_SOME_FILES = f"""
    select
        case when schemas.path_is_relative then {{folder}} else '' end
        || case when tables.path_is_relative then schemas.path else '' end
        || tables.path
        || files.path
    from {_META}.ducklake_data_file as files
    inner join {_META}.ducklake_table as tables
        on files.table_id = tables.table_id and tables.end_snapshot is null
    inner join {_META}.ducklake_schema as schemas
        on tables.schema_id = schemas.schema_id and schemas.end_snapshot is null
    where files.end_snapshot is null and files.path_is_relative and tables.path_is_relative
    limit {_LOOKED_FOR}
"""


def is_settled_here(settings: Settings) -> bool:
    """Return whether catalogue and files are both on this machine, so that a home can move."""
    return settings.catalog_file is not None and "://" not in settings.data_path


def check(
    con: duckdb.DuckDBPyConnection, settings: Settings, noted: str, *, read_only: bool
) -> None:
    """Do nothing when the lake's files are where the settings say, or have moved with the home.

    Args:
        con: Where the catalogue is attached.
        settings: Where the files are looked for.
        noted: Where they are according to the catalogue.
        read_only: Whether the catalogue is to stay as it is.

    Raises:
        LakeError: the catalogue's files are in another place than the settings say.
    """
    if not is_settled_here(settings) or _is_same(noted, settings):
        return  # an object store, or a shared catalogue: DuckLake itself has compared them
    assert settings.catalog_file is not None
    is_moved = _is_in_home(settings, settings.data_path) and (
        _has_its_files(con, settings) or not Path(noted).exists()
    )
    if not is_moved or not (read_only or _is_in_home(settings, settings.catalog_file)):
        raise refusal(noted, settings)


def settle(con: duckdb.DuckDBPyConnection, settings: Settings, noted: str) -> None:
    """Let the attached catalogue, which was checked, name the folder that its files are in.

    Raises:
        LakeError: the files belong to another catalogue.
    """
    if not is_settled_here(settings):
        return
    assert settings.catalog_file is not None
    if _is_same(noted, settings):
        _claim(settings, settings.catalog_file)
    else:
        _take_over(con, Path(noted), Path(settings.data_path))


def _is_same(noted: str, settings: Settings) -> bool:
    return os.path.realpath(noted) == os.path.realpath(settings.data_path)


def refusal(noted: str, settings: Settings) -> LakeError:
    """Return the error for a catalogue whose files are in another place than the settings say."""
    return LakeError(
        f"The files of this lake are in {noted} according to its catalogue, but they were looked "
        f"for in {settings.data_path}.",
        hint="Set BOATHOUSE_LAKE to where they are, and BOATHOUSE_CATALOG to their own catalogue. "
        "Only a home in which both lie can be moved or copied by hand.",
    )


def _claim(settings: Settings, catalog: Path) -> None:
    """Note in a folder outside the home whose files it has: a copied home leads there as well.

    Raises:
        LakeError: they belong to another catalogue, which is still there.
    """
    if _is_in_home(settings, settings.data_path):
        return
    note = Path(settings.data_path) / _OWNER
    owner = Path(note.read_text(encoding="utf-8").strip()) if note.exists() else catalog
    if owner.exists() and not owner.samefile(catalog):
        raise LakeError(
            f"The files in {settings.data_path} belong to the catalogue {owner}, and {catalog} is "
            "another one, or a copy: what one of them deletes, the other one would miss.",
            hint="A second home gets files of its own from `boathouse backup` there and "
            "`boathouse restore --into`, with BOATHOUSE_LAKE unset.",
        )
    if owner != catalog or not note.exists():
        note.parent.mkdir(parents=True, exist_ok=True)
        temporary = note.with_name(f"{note.name}.{os.getpid()}")
        temporary.write_text(f"{catalog}\n", encoding="utf-8")
        temporary.replace(note)


def _is_in_home(settings: Settings, path: str | Path) -> bool:
    home = os.path.realpath(settings.home_folder)
    return Path(os.path.realpath(path)).is_relative_to(home)


def _has_its_files(con: duckdb.DuckDBPyConnection, settings: Settings) -> bool:
    """Return whether a file that the catalogue names is in the folder, or it names none."""
    names = some_files(con, settings)
    return not names or any(is_there(con, name) for name in names)


def some_files(con: duckdb.DuckDBPyConnection, settings: Settings) -> list[str]:
    """Return where some of the files should be that the attached catalogue names."""
    folder = literal(settings.data_path.rstrip("/") + "/")
    return [name for (name,) in con.execute(_SOME_FILES.format(folder=folder)).fetchall()]


def is_there(con: duckdb.DuckDBPyConnection, name: str) -> bool:
    """Return whether a file, or an object, is where it should be."""
    if "://" not in name:
        return Path(name).exists()
    # An address without a pattern counts as found: nobody is asked.
    pattern = f"{name[:-1]}[{name[-1]}]"
    return bool(con.execute(f"from glob({literal(pattern)})").fetchall())


def has_files(settings: Settings, con: duckdb.DuckDBPyConnection | None) -> bool:
    """Return whether there is any file of a lake; in an object store only `con` can look."""
    if "://" not in settings.data_path:
        return any(Path(settings.data_path).rglob("*.parquet"))
    everything = literal(settings.data_path.rstrip("/") + "/**/*.parquet")
    return con is not None and bool(con.execute(f"from glob({everything}) limit 1").fetchall())


def _take_over(con: duckdb.DuckDBPyConnection, before: Path, now: Path) -> None:
    """Note the new folder in the catalogue, and change the absolute names in it that have moved."""
    old, new = before, now
    while old.name == new.name and len(old.parts) > _TOP:
        old, new = old.parent, new.parent
    statements = [
        f"update {_META}.ducklake_metadata set value = {literal(f'{now}/')} "
        "where key = 'data_path' and scope is null"
    ]
    statements += [
        f"update {_META}.ducklake_{table} "
        f"set path = {literal(str(new))} || path[{len(str(old)) + 1}:] "
        f"where not path_is_relative and starts_with(path, {literal(f'{old}/')})"
        for table in _WITH_PATHS
    ]
    con.execute("begin transaction")
    try:
        for statement in statements:
            con.execute(statement)
        con.execute("commit")
    except BaseException:
        with suppress(duckdb.Error):
            con.execute("rollback")
        raise


@contextmanager
def openable(settings: Settings, *, read_only: bool) -> Iterator[Settings]:
    """Give settings whose catalogue opens: to be read, also where nothing may be written.

    SQLite keeps its books (`-shm`) beside a catalogue that many read. Where it cannot make them,
    as on a full disk, and nobody who writes has made them, a copy in a temporary folder is as good.
    """
    catalog = settings.catalog_file
    if not read_only or catalog is None or not catalog.exists() or _has_books(catalog):
        yield settings
        return
    with TemporaryDirectory(prefix="boathouse-") as folder:
        copied = Path(folder) / catalog.name
        for _ in range(_ATTEMPTS):
            before = _state(catalog)
            for ending in ("-wal", ""):
                with suppress(FileNotFoundError):
                    shutil.copyfile(f"{catalog}{ending}", f"{copied}{ending}")
            if _state(catalog) == before:
                break  # nobody has written meanwhile, from where that is allowed
        yield settings.model_copy(update={"catalog": f"sqlite:{copied}"})


def _state(catalog: Path) -> tuple[bool, int, int]:
    stat = catalog.stat()
    return _has_books(catalog), stat.st_mtime_ns, stat.st_size


def _has_books(catalog: Path) -> bool:
    is_allowed = os.access(catalog.parent, os.W_OK) and os.access(catalog, os.W_OK)
    can_make = is_allowed and not disk.of(catalog).is_full
    return can_make or Path(f"{catalog}-shm").exists()
