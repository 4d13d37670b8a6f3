"""A load that is killed at any instant, run again, leaves what one clean load leaves."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from support.command import PATIENCE_SECONDS
from yards import SOURCE, Yard, check_promises

from boathouse import lock

CHECKPOINTS = (
    "load:read",
    "load:rows-inserted",
    "load:before-commit",
    "load:committed",
    "archive:before-move",
    "reject:noted",
    "load:moved-one",
)
GOOD = "".join(f"{number},name {number},{number}.5\n" for number in range(200))
HEADER = "id,name,amount\n"


def prepared(folder: Path) -> Yard:
    """Return a yard with a good, a corrected, a partly bad, a refused and a repeated file."""
    yard = Yard(folder).source()
    yard.deliver("corrected.csv", HEADER + "1,before,1\n")
    yard.deliver("repeated.csv", HEADER + "2,same,2\n")
    yard.load()
    yard.deliver("corrected.csv", HEADER + "1,after,1\n7,new,7\n")
    yard.deliver("repeated.csv", HEADER + "2,same,2\n")
    yard.deliver("good.csv", HEADER + GOOD)
    yard.deliver("partly.csv", HEADER + "3,fine,3\nx,bad,1\n,missing,1\n")
    yard.deliver("refused.csv", "id,nothing\n1,2\n")
    return yard


def run(yard: Yard, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run `boathouse load` in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "boathouse", "load"],
        env=environment_of(yard) | environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )


def environment_of(yard: Yard) -> dict[str, str]:
    return os.environ | {
        "BOATHOUSE_PROJECT": str(yard.settings.project),
        "BOATHOUSE_HOME": str(yard.settings.home),
        "BOATHOUSE_SETTLE_SECONDS": "0",
    }


def picture(yard: Yard) -> dict[str, Any]:
    """Return all that must be equal: rows, ledger and rejects without times, and the files."""
    return {
        "raw": yard.raw("id, name, amount, _load_id, _file, _row"),
        "replaced": yard.rows(
            f"select id, name, _load_id, _replaced_by from lake.replaced.{SOURCE} order by all"
        ),
        "loads": yard.rows("select * exclude (loaded_at) from lake.meta.loads order by all"),
        "rejects": yard.rows(
            "select * exclude (rejected_at, replayed_at) from lake.meta.rejected_rows order by all"
        ),
        "files": sorted(
            path.relative_to(yard.settings.home).as_posix()
            for folder in (
                yard.settings.archive_folder,
                yard.settings.rejected,
                yard.settings.landing_folder,
            )
            for path in folder.rglob("*")
            if path.is_file()
        ),
    }


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    yard = prepared(tmp_path_factory.mktemp("clean"))
    yard.load()
    return picture(yard)


@pytest.fixture
def yard(tmp_path: Path) -> Yard:
    return prepared(tmp_path)


@pytest.mark.parametrize("checkpoint", CHECKPOINTS)
def test_load_killed_at_a_step_is_finished_by_the_next(
    yard: Yard, clean: dict[str, Any], checkpoint: str
) -> None:
    killed = run(yard, BOATHOUSE_KILL_AT=checkpoint)
    assert killed.returncode == -signal.SIGKILL, f"{checkpoint} was never reached: {killed}"
    again = run(yard)
    assert again.returncode == 0, again.stderr
    check_promises(yard.settings)
    assert picture(yard) == clean


@pytest.mark.parametrize("seed", range(6))
def test_load_killed_at_a_random_instant_is_finished_by_the_next(
    yard: Yard, clean: dict[str, Any], seed: int
) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "boathouse", "load"],
        env=environment_of(yard),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    moment = time.monotonic() + random.Random(seed).uniform(0.3, 2.5)
    while process.poll() is None and time.monotonic() < moment:
        time.sleep(0.01)
    process.kill()
    process.wait()
    assert run(yard).returncode == 0
    check_promises(yard.settings)
    assert picture(yard) == clean


def test_ctrl_c_ends_without_traceback_and_the_next_load_finishes(
    yard: Yard, clean: dict[str, Any]
) -> None:
    # Held up by the writer lock, so that the signal surely meets it before it is done.
    with lock.writer(yard.settings, "a long build"):
        process = subprocess.Popen(
            [sys.executable, "-m", "boathouse", "load"],
            env=environment_of(yard),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stderr is not None
        waiting = process.stderr.readline()
        assert "a long build" in waiting
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 130
    assert "Interrupted" in errors
    assert "Traceback" not in errors
    assert run(yard).returncode == 0
    assert picture(yard) == clean


def test_no_space_left_is_told_and_nothing_is_half_done(yard: Yard, clean: dict[str, Any]) -> None:
    yard.deliver("large.csv", HEADER + GOOD * 5000)
    limited = subprocess.run(
        [
            sys.executable,
            "-c",
            "import resource, signal, runpy, sys;"
            "signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
            "resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, 2_000_000));"
            "sys.argv = ['boathouse', 'load'];"
            "runpy.run_module('boathouse', run_name='__main__')",
        ],
        env=environment_of(yard),
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    assert limited.returncode == 1, limited
    assert "Traceback" not in limited.stderr
    assert "There is no space left on" in limited.stderr and "free)" in limited.stderr
    assert "`boathouse doctor` says what takes how much" in limited.stderr
    yard.path("large.csv").unlink()
    again = run(yard)
    assert again.returncode == 0, again.stderr
    check_promises(yard.settings)
    assert picture(yard) == clean
