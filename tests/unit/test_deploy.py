"""The units for systemd and the compose file run what there is."""

import configparser
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.homes import REPOSITORY
from support.needs import program

from boathouse import heartbeat
from boathouse.heartbeat import Heartbeat
from boathouse.settings import Settings

DEPLOY = REPOSITORY / "docs/deploy"
UNITS = sorted((DEPLOY / "systemd").iterdir())
BIN = "/opt/boathouse/.venv/bin/"
OURS = Path(sys.executable).parent


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    """Return the services of the compose file."""
    found: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]
    return found


def test_units_are_valid(tmp_path: Path) -> None:
    for unit in UNITS:
        text = unit.read_text().replace(BIN, f"{Path(shutil.which('true') or '').parent}/")
        text = re.sub(r"(?m)^ExecStart=(\S+)/(boathouse|python) .*", r"ExecStart=\1/true", text)
        (tmp_path / unit.name).write_text(text)
    done = subprocess.run(
        [program("systemd-analyze"), "verify", *map(str, sorted(tmp_path.iterdir()))],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_watch_that_ends_or_hangs_is_started_again(services: dict[str, Any]) -> None:
    unit = configparser.ConfigParser()
    unit.read(DEPLOY / "systemd/boathouse-watch.service")
    service = unit["Service"]
    assert (service["Type"], service["Restart"]) == ("notify", "always")
    assert service["WatchdogSec"] == "30min" and service["KillMode"] == "mixed"
    assert services["watch"]["restart"] == "unless-stopped"


def commands(services: dict[str, Any]) -> list[list[str]]:
    """Return what units and services run."""
    lines = [line for unit in UNITS for line in unit.read_text().splitlines()]
    started = [line.partition("=")[2] for line in lines if line.startswith("ExecStart=")]
    of_units = [shlex.split(line.removeprefix(BIN)) for line in started]
    return [*of_units, *(service["command"] for service in services.values())]


def test_what_they_run_there_is(services: dict[str, Any]) -> None:
    found = commands(services)
    assert len(found) == 7
    for command in found:
        program, *arguments = command
        done = subprocess.run(
            [str(OURS / program), *arguments, "--help"],
            cwd=REPOSITORY,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{command}: {done.stderr}"


def test_health_check_of_watch_looks_at_the_age_of_the_heartbeat(
    services: dict[str, Any], tmp_path: Path
) -> None:
    check = services["watch"]["healthcheck"]["test"].replace("$$", "$")

    def is_well() -> bool:
        where = {**os.environ, "BOATHOUSE_HOME": str(tmp_path)}
        return subprocess.run(["sh", "-c", check], env=where, check=False).returncode == 0

    assert not is_well()
    settings = Settings(home=tmp_path)
    Heartbeat(settings).beat()
    assert is_well()
    an_hour_ago = time.time() - 3600
    os.utime(heartbeat.file(settings), (an_hour_ago, an_hour_ago))
    assert not is_well()
