"""One writer at a time, and a waiting one that says for whom it waits."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from support.command import PATIENCE_SECONDS

from boathouse import lock
from boathouse.errors import LockTimeoutError
from boathouse.settings import Settings

HOLDER = """
import sys
from pathlib import Path
from boathouse import lock
from boathouse.settings import Settings
settings = Settings(project=Path(sys.argv[1]), home=Path(sys.argv[1]))
with lock.writer(settings, "boathouse load"):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def home(tmp_path: Path) -> Settings:
    return Settings(project=tmp_path, home=tmp_path, lock_timeout=0.3)


@contextmanager
def other_process(settings: Settings) -> Iterator[subprocess.Popen[str]]:
    """Hold the lock in another process."""
    command = [sys.executable, "-c", HOLDER, str(settings.home_folder)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        try:
            yield process
        finally:
            process.kill()


def test_a_waiting_process_says_for_whom_and_gives_up_in_the_end(home: Settings) -> None:
    told: list[str] = []
    with (
        other_process(home) as process,
        pytest.raises(LockTimeoutError) as caught,
        lock.writer(home, "me", told.append),
    ):
        pytest.fail("two writers")
    assert len(told) == 1
    assert told[0].startswith(f"Waiting for `boathouse load` (process {process.pid} on ")
    assert told[0].endswith("UTC) to finish writing …")
    assert caught.value.message.startswith("Gave up after 0 s: `boathouse load` (process ")
    assert "BOATHOUSE_LOCK_TIMEOUT" in caught.value.hint


def test_a_waiting_process_goes_on_when_the_holder_is_killed(home: Settings) -> None:
    patient = home.model_copy(update={"lock_timeout": 20})
    with other_process(home) as process:
        assert lock.is_held(home)
        with lock.writer(patient, "me", lambda _: os.kill(process.pid, signal.SIGKILL)):
            holder = lock.holder(home)
            assert holder is not None
            assert (holder.command, holder.pid) == ("me", os.getpid())
    assert not lock.is_held(home)


def test_the_lock_is_re_entrant(home: Settings) -> None:
    with lock.writer(home, "outer"):
        with lock.writer(home, "inner"):
            assert lock.held_here(home)
        assert lock.held_here(home)
        assert lock.is_held(home)
        holder = lock.holder(home)
        assert holder is not None
        assert holder.command == "outer"
    assert not lock.held_here(home)
    assert not lock.is_held(home)


def test_the_lock_is_let_go_when_something_goes_wrong(home: Settings) -> None:
    with pytest.raises(RuntimeError), lock.writer(home, "me"):
        raise RuntimeError
    assert not lock.is_held(home)


def test_another_thread_waits_says_so_and_gives_up_too(home: Settings) -> None:
    told: list[str] = []
    errors: list[Exception] = []

    def wait() -> None:
        try:
            with lock.writer(home, "the other thread", told.append):
                errors.append(AssertionError("two writers"))
        except LockTimeoutError as error:
            errors.append(error)

    with lock.writer(home, "this thread"):
        thread = threading.Thread(target=wait)
        thread.start()
        thread.join(PATIENCE_SECONDS)
    assert told[0].startswith("Waiting for `this thread` (process ")
    assert [type(error) for error in errors] == [LockTimeoutError]


def test_a_lock_kept_by_a_thread_is_the_whole_processs(home: Settings) -> None:
    let_go: list[Callable[[], None]] = []
    keeper = threading.Thread(target=lambda: let_go.append(lock.keep(home, "dbt build")))
    keeper.start()
    keeper.join()
    with lock.writer(home, "me", pytest.fail):
        assert lock.held_here(home)
    assert lock.held_here(home)
    code = HOLDER.replace("settings = Settings(", "settings = Settings(lock_timeout=0.1, ")
    done = subprocess.run(
        [sys.executable, "-c", code, str(home.home_folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "LockTimeoutError: Gave up" in done.stderr
    let_go[0]()
    assert not lock.is_held(home)


def test_letting_go_of_a_kept_lock_waits_for_the_thread_that_has_it_now(home: Settings) -> None:
    let_go = lock.keep(home, "dbt build")
    has_it, may_end = threading.Event(), threading.Event()

    def write() -> None:
        with lock.writer(home, "the other thread"):
            has_it.set()
            may_end.wait(PATIENCE_SECONDS)

    other = threading.Thread(target=write)
    other.start()
    assert has_it.wait(PATIENCE_SECONDS)
    last = threading.Thread(target=let_go)
    last.start()
    assert lock.is_held(home)
    may_end.set()
    last.join(PATIENCE_SECONDS)
    other.join(PATIENCE_SECONDS)
    assert not lock.is_held(home)


def test_waiting_for_a_lock_that_nobody_wants_any_more_ends(home: Settings) -> None:
    patient = home.model_copy(update={"lock_timeout": 3600})
    with other_process(home), pytest.raises(LockTimeoutError):
        lock.keep(patient, "me", lambda: True)
    assert not lock.held_here(home)


def test_holder_is_noted_to_the_microsecond_and_told_to_the_second(home: Settings) -> None:
    before = datetime.now(UTC).replace(tzinfo=None)
    with lock.writer(home, "me"):
        holder = lock.holder(home)
    assert holder is not None
    assert before <= datetime.fromisoformat(holder.since) <= datetime.now(UTC).replace(tzinfo=None)
    assert str(holder).endswith(f"since {holder.since.split('.')[0]} UTC)")


def test_homes_do_not_lock_each_other(home: Settings, tmp_path: Path) -> None:
    other = Settings(project=tmp_path, home=tmp_path / "other", lock_timeout=0)
    with lock.writer(home, "one"), lock.writer(other, "two"):
        assert lock.is_held(home)
        assert lock.is_held(other)


@pytest.mark.parametrize("note", ["", "{", "[]", json.dumps({"command": "x"})])
def test_a_broken_note_about_the_holder_is_no_holder(home: Settings, note: str) -> None:
    home.lock_file.with_suffix(".json").write_text(note)
    assert lock.holder(home) is None
    with lock.writer(home, "me"):
        pass


def test_a_lock_never_taken_is_not_held(home: Settings) -> None:
    assert not lock.is_held(home)
    assert lock.holder(home) is None
    assert not home.lock_file.exists(), "looking must not leave a file behind"
