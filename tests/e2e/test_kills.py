"""A main job that is killed at any instant, run again, leaves what an undisturbed one leaves."""

import random
import signal
import time
from pathlib import Path
from typing import Any

import duckdb
import pytest
from support.command import House
from support.kills import Kill, checkpoints, deliver, picture, young
from support.prepared import Prepared

CHECKPOINTS = ("run:loaded", "run:built", "release:mart-written")
TRIAL = (Kill("restore", "restore:set-aside"),)


@pytest.fixture(scope="module")
def undisturbed(prepared: Prepared, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    house = prepared.house.clone(tmp_path_factory.mktemp("undisturbed") / "home")
    deliver(house)
    house.boathouse("run")
    return picture(house)


def require_next_run_mends(house: House, undisturbed: dict[str, Any]) -> None:
    """Check that readers and the next run find nothing broken."""
    with duckdb.connect(str(house.settings.warehouse), read_only=True) as reader:
        (count,) = reader.execute("select count(*) from marts.fct_purchase_versions").fetchall()[0]
        assert count > 0
    house.boathouse("run")
    assert picture(house) == undisturbed


@pytest.mark.parametrize("checkpoint", CHECKPOINTS)
def test_run_killed_at_a_step_is_finished_by_the_next(
    house: House, undisturbed: dict[str, Any], checkpoint: str
) -> None:
    deliver(house)
    house.boathouse("run", code=-signal.SIGKILL, BOATHOUSE_KILL_AT=checkpoint)
    require_next_run_mends(house, undisturbed)


@pytest.mark.parametrize("seed", range(1))
def test_run_killed_at_a_random_instant_is_finished_by_the_next(
    house: House, undisturbed: dict[str, Any], seed: int
) -> None:
    deliver(house)
    with house.running("run") as process:
        house.wait_for_writer(process, "boathouse run")
        time.sleep(random.Random(seed).uniform(0, 4))
        process.kill()
    require_next_run_mends(house, undisturbed)


def test_trial_of_kills_finds_what_an_undisturbed_home_has(
    prepared: Prepared, tmp_path: Path
) -> None:
    """A short trial as `make kills` makes long ones."""
    told = list(young(tmp_path, prepared.house).trial("trial", TRIAL))
    assert told == [f"{kill.command} at {kill.at}" for kill in TRIAL]


def test_every_checkpoint_is_one() -> None:
    assert checkpoints() > set(CHECKPOINTS)
