"""Fixtures for tests that load and build.

One small house is built once, and every test gets a copy.
"""

from collections.abc import Iterator
from pathlib import Path

import houses
import pytest
from support import object_store
from support import postgres as postgresql
from support.command import House
from support.homes import clone, copy_project
from support.shared import made_once

from boathouse import lake
from boathouse.build import run_build
from boathouse.ingest import apart, reading
from boathouse.release import release
from boathouse.settings import Settings


@pytest.fixture(autouse=True)
def _kept_attached() -> Iterator[None]:
    """Leave the lake attached from one command of a test's own process to the next.

    As in a run, where it is: a lake that was just attached reads its whole catalogue.
    """
    with lake.kept_attached():
        yield


@pytest.fixture
def read_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this process read the files itself, for tests that meddle with how it does so."""
    monkeypatch.setattr(apart, "read", reading.read)


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """Return the address of a PostgreSQL server's first database."""
    with postgresql.server() as address:
        yield address


@pytest.fixture(scope="module")
def store() -> Iterator[object_store.Store]:
    """Return an S3 server with one bucket."""
    with object_store.served() as store:
        yield store


@pytest.fixture(scope="session")
def machine(request: pytest.FixtureRequest) -> House:
    """Return a house in which nothing has run, to be copied by `make_machines`."""
    return made_once(request, "machine", postgresql.prepare)


@pytest.fixture(scope="session")
def _template(request: pytest.FixtureRequest) -> Settings:
    return made_once(request, "house", _build)


def _build(folder: Path) -> Settings:
    settings = Settings(
        project=copy_project(folder / "project", houses.DOMAINS),
        home=folder / "data",
        settle_seconds=0,
    )
    houses.add_events(settings, houses.sessions(range(60)))
    houses.add_purchases(settings, "2023-07-21", [(1, 12, 31), (2, 13, 32), (4, 14, 33)])
    houses.add_purchases(settings, "2023-07-22", [(1, 12, 31), (2, 13, 32), (4, 10, 33)])
    run_build(settings).require_green()
    return settings


@pytest.fixture(scope="session")
def _released(request: pytest.FixtureRequest, _template: Settings) -> Settings:
    """Return settings for a house with one release, to be copied."""

    def make(folder: Path) -> Settings:
        settings = clone(_template, folder / "data")
        release(settings)
        return settings

    return made_once(request, "released-house", make)


@pytest.fixture
def house(_template: Settings, tmp_path: Path) -> Settings:
    """Return settings for a house in which everything is built and green, and not released."""
    return clone(_template, tmp_path / "data")


@pytest.fixture
def home(_released: Settings, tmp_path: Path) -> Settings:
    """Return settings for a house with one release, whose catalogue knows where it is."""
    settings = clone(_released, tmp_path / "data")
    with lake.connect(settings):
        pass
    return settings


@pytest.fixture
def editable_house(house: Settings, tmp_path: Path) -> Settings:
    """Return settings for such a house with a project of its own, which a test may change."""
    project = copy_project(tmp_path / "project", houses.DOMAINS)
    return house.model_copy(update={"project": project})
