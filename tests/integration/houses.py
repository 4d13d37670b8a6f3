"""Small warehouses for tests: part of the real project, and rows put straight into raw.

The models, macros and tests are the real ones of two domains, so that a build takes seconds and
does not depend on what the other domains are doing.
"""

import os
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest
from support import forked
from support.command import PATIENCE_SECONDS
from support.homes import REPOSITORY, by_hand, copy_project

from boathouse import catalog, lake
from boathouse.build import run_build
from boathouse.contracts import load_contracts
from boathouse.ingest.loader import load
from boathouse.release import release
from boathouse.release.opened import opened
from boathouse.settings import Settings
from boathouse.sql import literal, row

DOMAINS = ("sessions", "purchases")
START = datetime(2016, 12, 2)
# Files that nobody here wrote: see its README.
SHARED_DATA = Path(
    os.environ.get("BOATHOUSE_SHARED_DATA", REPOSITORY.parent / "shared" / "data")
).absolute()

Event = tuple[str, str | None, str, str, datetime]


def sessions(numbers: Iterable[int], *, day: int = 0) -> list[Event]:
    """Return a start and an end for each session number."""
    events: list[Event] = []
    for number in numbers:
        begin = START + timedelta(days=day, seconds=number)
        player = f"p{number % 7}"
        country = ("PK", "DE", "FR")[number % 3]
        events.append(("start", country, player, f"s{number}", begin))
        events.append(("end", None, player, f"s{number}", begin + timedelta(seconds=60)))
    return events


def add_events(settings: Settings, events: Sequence[Event]) -> int:
    """Put session events into raw as one loaded file, and return its load."""
    columns = ("event", "country", "player_id", "session_id", "ts")
    return add_rows(settings, "session_events", columns, events)


def add_purchases(settings: Settings, day: str, purchases: Sequence[tuple[int, int, int]]) -> int:
    """Put a snapshot of the shop's purchases into raw: (purchase, product, user)."""
    columns = ("purchase_id", "product", "user", "date", "snapshot_date")
    rows = [(*each, "2023-07-01", day) for each in purchases]
    return add_rows(settings, "purchases", columns, rows)


def add_rows(
    settings: Settings, source: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]
) -> int:
    """Put rows into raw as one loaded file, with its entry in the ledger, and return its load."""
    with lake.connect(settings) as opened:
        catalog.ensure(opened, load_contracts(settings.project))
        load_id = int(opened.value("select coalesce(max(load_id), 0) + 1 from lake.meta.loads"))
        file = f"file-{load_id}"
        named = ", ".join(f'"{column}"' for column in columns)

        def write(con: duckdb.DuckDBPyConnection) -> None:
            values = ", ".join(
                row((*each, load_id, file, number)) for number, each in enumerate(rows, 1)
            )
            con.execute(
                f"insert into lake.raw.{source} ({named}, _load_id, _file, _row, _loaded_at) "
                f"select *, now()::timestamp from (values {values})"
            )
            con.execute(
                "insert into lake.meta.loads (load_id, source, file_name, file_sha256, file_bytes,"
                " rows_read, rows_loaded, rows_rejected, status, loaded_at) select "
                f"{load_id}, {literal(source)}, {literal(file)}, {literal(file)}, 1, "
                f"{len(rows)}, {len(rows)}, 0, 'loaded', now()::timestamp"
            )

        opened.write(write, f"load {file}")
    return load_id


def put(settings: Settings, source: str, name: str, content: bytes) -> None:
    """Put a file into landing."""
    path = settings.landing_folder / source / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def with_real_files(folder: Path, domain: str, files: Mapping[str, Iterable[Path]]) -> Settings:
    """Return a house with the real files of each source, loaded, built with all tests, released.

    The files are named by their place below the domain's folder of real data; the test is skipped
    when that is not there.
    """
    real = SHARED_DATA / domain
    if not real.exists():
        pytest.skip(f"{real} is not there; set BOATHOUSE_SHARED_DATA to the folder of real data")
    settings = Settings(
        project=copy_project(folder / "project", [domain]),
        home=folder / "home",
        threads=2,  # as for real: the other tests take one
        settle_seconds=0,
    )
    for source, paths in files.items():
        for path in paths:
            put(settings, source, path.relative_to(real).as_posix(), path.read_bytes())
    load(settings, load_contracts(settings.project))
    run_build(settings).require_green()
    release(settings)
    return settings


def execute(settings: Settings, *statements: str) -> None:
    """Change the lake, in one transaction."""

    def write(con: duckdb.DuckDBPyConnection) -> None:
        for statement in statements:
            con.execute(statement)

    with lake.connect(settings) as opened:
        opened.write(write, "a test")


def lake_rows(settings: Settings, query: str) -> list[tuple[Any, ...]]:
    """Return the rows of a query on the lake."""
    with lake.connect(settings, read_only=True) as opened:
        return opened.rows(query)


def released_rows(settings: Settings, query: str, path: Path | None = None) -> list[Any]:
    """Return the rows of a query on a released file, as somebody opening it now sees them."""
    with opened(path or settings.warehouse) as con:
        return con.execute(query).fetchall()


def marts(settings: Settings) -> dict[str, list[tuple[Any, ...]]]:
    """Return all rows of all marts in the lake, sorted."""
    query = (
        "select table_name from duckdb_tables() "
        "where database_name = 'lake' and schema_name = 'marts' order by table_name"
    )
    with lake.connect(settings) as opened:
        names = [name for (name,) in opened.rows(query)]
        return {name: _sorted(opened.rows(f"from lake.marts.{name}")) for name in names}


def released_marts(settings: Settings, path: Path | None = None) -> dict[str, Any]:
    """Return all rows of all marts in a released file, sorted."""
    query = "select table_name from duckdb_tables() where schema_name = 'marts' order by table_name"
    with opened(path or settings.warehouse) as con:
        names = [name for (name,) in con.execute(query).fetchall()]
        return {name: _sorted(con.execute(f"from marts.{name}").fetchall()) for name in names}


def _sorted(rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    return sorted(rows, key=lambda values: [(value is None, str(value)) for value in values])


def python(settings: Settings, code: str, **environment: str) -> forked.Process:
    """Start Python code in another process, with `settings` as a variable in it."""
    return forked.Process(
        ["python", with_settings(settings, code)],
        cwd=settings.project,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), **environment},
    )


def with_settings(settings: Settings, code: str) -> str:
    """Return the code with `settings` as a variable in it."""
    return (
        "from pathlib import Path\n"
        "from boathouse.settings import Settings\n"
        f"settings = Settings(project=Path({str(settings.project)!r}),"
        f" home=Path({str(settings.home_folder)!r}), settle_seconds=0)\n{code}"
    )


def dbt(
    settings: Settings, *arguments: str, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run dbt as a person does who types it in the project's folder."""
    return forked.run(
        [str(Path(sys.executable).with_name("dbt")), "--no-use-colors", *arguments],
        cwd=settings.project,
        env={
            **os.environ,
            "PYTHONPATH": str(REPOSITORY),
            "BOATHOUSE_HOME": str(settings.home_folder),
            **by_hand(settings.home_folder),
            **environment,
        },
        timeout=PATIENCE_SECONDS,
    )
