"""The catalogue as it was before an upgrade, where a person finds it.

A SQLite one lies in `upgrades/` in the home, with the notes of home and files that belong to it,
all under the names that they have in the home. One in PostgreSQL is copied within its database,
into a schema of its own. Once the copy is whole, the catalogue says where it is: an upgrade that
was killed and goes on does not take the half upgraded one for it.
"""

import os
import shutil
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import duckdb

from boathouse import identity
from boathouse.backup.catalog_copy import copy_catalog
from boathouse.backup.contents import CATALOG, LAKE
from boathouse.checkpoints import reached
from boathouse.identity.marks import META, UPGRADING_KEY
from boathouse.settings import Settings
from boathouse.sql import identifier, literal

UPGRADES = "upgrades"
_PART = ".part"


def keep(con: duckdb.DuckDBPyConnection, settings: Settings) -> str:
    """Keep a copy of the attached catalogue, unless this upgrade has done so, and say where.

    Raises:
        LakeError: it cannot be read, or is damaged.
    """
    noted = con.execute(
        f"select value from {META}.ducklake_metadata where key = {literal(UPGRADING_KEY)}"
    ).fetchall()
    if noted:
        return str(noted[0][0])
    name = f"{datetime.now(UTC):%Y-%m-%dT%H%M%S.%fZ}"
    if settings.catalog_file is None:
        kept = _keep_schema(con, f"before_upgrade_{name}")
    else:
        kept = str(_keep_files(settings, settings.catalog_file, name))
    reached("upgrade:copied")
    con.execute(
        f"insert into {META}.ducklake_metadata (key, value) "
        f"values ({literal(UPGRADING_KEY)}, {literal(kept)})"
    )
    return kept


def _keep_files(settings: Settings, catalog: Path, name: str) -> Path:
    folder = settings.home_folder / UPGRADES
    part, kept = folder / _PART, folder / name
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    copied = part / CATALOG
    copy_catalog(catalog, copied)
    for ending in ("-shm", "-wal"):
        Path(f"{copied}{ending}").unlink(missing_ok=True)  # of who has checked it
    _copy(settings.home_folder / identity.FILE, part / identity.FILE)
    _copy(Path(settings.data_path) / identity.FILE, part / LAKE / identity.FILE)
    os.sync()
    part.rename(kept)
    return kept


def _copy(note: Path, target: Path) -> None:
    with suppress(FileNotFoundError):  # it was in none, or lies in an object store
        target.parent.mkdir(exist_ok=True)
        shutil.copyfile(note, target)


def _keep_schema(con: duckdb.DuckDBPyConnection, schema: str) -> str:
    copying = f"""
        do $$
        declare name text;
        begin
            create schema {identifier(schema)};
            for name in
                select tablename from pg_tables
                where schemaname = current_schema() and tablename like 'ducklake\\_%'
            loop
                execute format(
                    'create table {identifier(schema)}.%I (like %I including all)', name, name
                );
                execute format(
                    'insert into {identifier(schema)}.%I select * from %I', name, name
                );
            end loop;
        end
        $$
    """
    con.execute(f"call postgres_execute({literal(META)}, {literal(copying)})")
    return f"schema {schema} of its database"
