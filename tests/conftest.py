"""Fixtures for all tests: each test has its own home, in a temporary folder."""

import gc
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis
import psutil
import pytest
from dbt_common.tests import enable_test_caching
from support import dashboard, engine
from support.shared import made_once
from xdist.scheduler import LoadScopeScheduling

from boathouse import lake
from boathouse.settings import Settings

enable_test_caching()  # what dbt has made of a macro or a template it makes again of an equal one

# Hundreds of commands are started here: none should compile the project's modules again.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# A run of the warehouse waits for its disk some fifty times: where there is memory to spare, the
# homes of tests, of which some 1 GB is there at a time, lie in it.
IN_MEMORY = Path("/dev/shm")
if (
    "TMPDIR" not in os.environ
    and os.access(IN_MEMORY, os.W_OK)
    and shutil.disk_usage(IN_MEMORY).free > 4 * 2**30
    and psutil.virtual_memory().available > 8 * 2**30
):
    tempfile.tempdir = os.environ["TMPDIR"] = str(IN_MEMORY)

hypothesis.settings.register_profile(
    "any-machine", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("any-machine")

REPOSITORY = Path(__file__).resolve().parents[1]
# Files, by the start of their paths, whose tests share a home that nobody else uses: one worker
# runs them. (The mark `xdist_group` would say so too, but xdist 3.8 loses it with pytest 9.2.)
TOGETHER = (
    "tests/e2e/test_dagster",
    "tests/e2e/test_kills",
    "tests/integration/test_api",
    "tests/integration/test_dashboard",
    "tests/integration/test_inbox",
    "tests/integration/test_known_answers",
    "tests/integration/test_long_lived_dbt",
    "tests/integration/test_object_store",
    "tests/integration/test_orchestration_runs",
    "tests/integration/test_originals",
    "tests/integration/test_postgres",
    "tests/integration/test_pushed_releases",
    "tests/integration/test_shared_backup",
)


class _Scheduling(LoadScopeScheduling):
    """Gives the next test, or the next group of tests, to the worker that is free."""

    def _split_scope(self, nodeid: str) -> str:
        return next((start for start in TOGETHER if nodeid.startswith(start)), nodeid)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    return _Scheduling(config, log)


def pytest_collection_finish() -> None:
    """Look for garbage seldom: dbt makes millions of objects that stay."""
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Keep the settings of whoever runs the tests out of them."""
    for name in ("HOME", "PROJECT", "ENV", "CATALOG", "LAKE", "KILL_AT"):
        monkeypatch.delenv(f"BOATHOUSE_{name}", raising=False)
    monkeypatch.setenv("BOATHOUSE_HOME", str(tmp_path / "not-the-home-of-this-test"))
    for name in ("DBT_TARGET_PATH", "DBT_LOG_PATH", "DBT_WRITE_JSON"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session", autouse=True)
def _quick_engine() -> Iterator[None]:
    """Let DuckDB take one processor, and trust its extensions, in every test of this process.

    With the few rows of a test, threads that wait for each other take twice the time. The tests
    that start other processes, rather than fork them, do check the extensions like everybody.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BOATHOUSE_THREADS", "1")
        patch.setattr(lake, "config", engine.config)
        yield


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Return settings for the real project and an empty home."""
    return Settings(project=REPOSITORY, home=tmp_path / "data", settle_seconds=0)


@pytest.fixture(scope="session")
def nine_domains(request: pytest.FixtureRequest) -> Settings:
    """Return a home of all nine domains with two releases."""
    return made_once(request, "nine-domains", lambda folder: dashboard.make_home(folder / "home"))
