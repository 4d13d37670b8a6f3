"""One house for the end-to-end tests: demo data of three domains, run once, copied by each test."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright
from support.command import House
from support.homes import REPOSITORY
from support.needs import program
from support.prepared import Prepared, prepare
from support.shared import made_once

SHARED_DATA = Path(
    os.environ.get("BOATHOUSE_SHARED_DATA", REPOSITORY.parent / "shared" / "data")
).absolute()


@pytest.fixture(scope="session")
def prepared(request: pytest.FixtureRequest) -> Prepared:
    """Return a house with demo data after its first run; tests only read this one, or copy it."""
    return made_once(request, "prepared", prepare)


@pytest.fixture
def house(prepared: Prepared, tmp_path: Path) -> House:
    """Return a house of this test's own, in which the main job has run once."""
    return prepared.house.clone(tmp_path / "home")


@pytest.fixture(scope="session")
def students_csv() -> bytes:
    """Return the real file of 395 students of mathematics."""
    path = SHARED_DATA / "students" / "student-mat.csv"
    if not path.exists():
        pytest.skip(f"{path} is not there; set BOATHOUSE_SHARED_DATA to the folder of real data")
    return path.read_bytes()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Return a real Chromium without a window."""
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(
            executable_path=program("chromium"), args=["--no-sandbox"]
        )
        yield launched
        launched.close()
