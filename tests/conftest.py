"""Fixtures for all tests: each test has its own home, in a temporary folder."""

from pathlib import Path

import pytest
from filelock import FileLock
from support import dashboard

from boathouse.settings import Settings

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Keep the settings of whoever runs the tests out of them."""
    for name in ("HOME", "PROJECT", "CATALOG", "LAKE", "KILL_AT"):
        monkeypatch.delenv(f"BOATHOUSE_{name}", raising=False)
    monkeypatch.setenv("BOATHOUSE_HOME", str(tmp_path / "not-the-home-of-this-test"))
    for name in ("DBT_TARGET_PATH", "DBT_LOG_PATH", "DBT_WRITE_JSON"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Return settings for the real project and an empty home."""
    return Settings(project=REPOSITORY, home=tmp_path / "data", settle_seconds=0)


@pytest.fixture(scope="session")
def nine_domains(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Settings:
    """Return a home of all nine domains with two releases, made once for all workers."""
    base = tmp_path_factory.getbasetemp()
    home = (base if worker_id == "master" else base.parent) / "nine-domains"
    finished = home.with_name("nine-domains.finished")
    with FileLock(home.with_name("nine-domains.lock")):
        if not finished.exists():
            dashboard.make_home(home)
            finished.touch()
    return Settings(project=REPOSITORY, home=home, settle_seconds=0)
