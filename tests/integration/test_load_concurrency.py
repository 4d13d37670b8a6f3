"""Loads beside loads and readers: nothing fails, nothing is lost, nothing is seen by halves."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pytest
from support.command import PATIENCE_SECONDS
from yards import SOURCE, Yard, check_promises

from boathouse import lake, lock
from boathouse.errors import LakeError

HEADER = "id,name,amount\n"
ROWS_A_FILE = 1000


@pytest.fixture
def yard(tmp_path: Path) -> Yard:
    return Yard(tmp_path, batch_files=5).source()


def deliver(yard: Yard, files: int) -> None:
    for number in range(files):
        rows = "".join(f"{number * ROWS_A_FILE + row},x,1\n" for row in range(ROWS_A_FILE))
        yard.deliver(f"file-{number:03d}.csv", HEADER + rows)


def start_load(yard: Yard) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "boathouse", "load"],
        env=os.environ
        | {
            "BOATHOUSE_PROJECT": str(yard.settings.project),
            "BOATHOUSE_HOME": str(yard.settings.home),
            "BOATHOUSE_SETTLE_SECONDS": "0",
            "BOATHOUSE_BATCH_FILES": "5",
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_two_loads_at_once_load_each_file_once(yard: Yard) -> None:
    deliver(yard, 20)
    with lock.writer(yard.settings, "somebody"):
        both = [start_load(yard), start_load(yard)]
        # Each says for whom it waits before either can begin.
        for process in both:
            assert process.stderr is not None
            assert "somebody" in process.stderr.readline()
    for process in both:
        _, errors = process.communicate(timeout=PATIENCE_SECONDS)
        assert process.returncode == 0, errors
    check_promises(yard.settings)
    assert yard.rows(f"select count(*), count(distinct id) from lake.raw.{SOURCE}") == [
        (20 * ROWS_A_FILE, 20 * ROWS_A_FILE)
    ]


def test_readers_never_fail_and_see_whole_batches_only(yard: Yard) -> None:
    deliver(yard, 1)
    yard.load()
    deliver(yard, 40)
    seen: list[int] = []
    failures: list[Exception] = []
    done = threading.Event()

    def read() -> None:
        try:
            with lake.connect(yard.settings, read_only=True) as reader:
                while not done.is_set():
                    seen.append(reader.value(f"select count(*) from lake.raw.{SOURCE}"))
        except Exception as error:
            failures.append(error)

    thread = threading.Thread(target=read)
    thread.start()
    process = start_load(yard)
    _, errors = process.communicate(timeout=PATIENCE_SECONDS)
    done.set()
    thread.join()
    assert process.returncode == 0, errors
    assert not failures
    assert seen == sorted(seen)
    # The first file was loaded before; a batch has five files, one of which was seen already.
    assert all((count // ROWS_A_FILE) % 5 in (0, 1, 4) for count in seen)
    assert all(count % ROWS_A_FILE == 0 for count in seen)
    check_promises(yard.settings)


@contextmanager
def busy_catalogue(yard: Yard, seconds: float) -> Iterator[None]:
    """Hold the catalogue's write lock in another process: within one, SQLite's locks are shared."""
    catalogue = yard.settings.catalog_uri.removeprefix("sqlite:")
    program = (
        "import sqlite3, sys, time;"
        "con = sqlite3.connect(sys.argv[1], isolation_level=None);"
        "con.execute('begin immediate');"
        "print('held', flush=True);"
        "time.sleep(float(sys.argv[2]));"
        "con.execute('rollback')"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", program, catalogue, str(seconds)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        yield
    finally:
        holder.kill()
        holder.wait()


def test_a_busy_catalogue_is_tried_again_as_a_whole(yard: Yard) -> None:
    deliver(yard, 1)
    yard.load()
    attempts = 0

    def work(con: duckdb.DuckDBPyConnection) -> None:
        nonlocal attempts
        attempts += 1
        con.execute(f"insert into lake.raw.{SOURCE} (id) values (-1)")

    with lake.connect(yard.settings) as opened:
        # Longer than the first attempts take, shorter than all of them.
        with busy_catalogue(yard, 2):
            opened.write(work, "come through at last")
        assert attempts > 1
        assert opened.value(f"select count(*) from lake.raw.{SOURCE} where id = -1") == 1


def test_a_catalogue_that_stays_busy_is_given_up_with_a_clear_error(
    yard: Yard, monkeypatch: pytest.MonkeyPatch
) -> None:
    deliver(yard, 1)
    yard.load()
    monkeypatch.setattr(lake, "RETRIES", 0)
    with lake.connect(yard.settings) as opened:
        with busy_catalogue(yard, 120), pytest.raises(LakeError, match="busy"):
            opened.write(
                lambda con: con.execute(f"insert into lake.raw.{SOURCE} (id) values (-1)"),
                "never comes through",
            )
        assert opened.value(f"select count(*) from lake.raw.{SOURCE} where id = -1") == 0
