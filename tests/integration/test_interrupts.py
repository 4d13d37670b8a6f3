"""Ctrl-C as a terminal sends it, to every process of a command: one sentence, and nothing lost."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import houses
import pytest
from support import forked
from support.command import PATIENCE_SECONDS, Running
from support.homes import REPOSITORY, by_hand, clone, include_unit_tests

from boathouse import doctor, lake, lock, pipeline, status
from boathouse.build import find_blockers, run_build
from boathouse.release import release
from boathouse.settings import Settings

LONG = (
    "select count(*) as n from range(1000000) as a, range(1000000) as b, range(1000000) as c "
    "where a.range + b.range != c.range"
)
# What a command says that has heard Ctrl-C. That it says anything is no sign: if dbt's main thread
# has missed it, the unit tests of a model go on, and are told of.
HEARD = ("CANCEL", "Interrupted")
TABLE = "{{ config(materialized='table') }} "


class Terminal:
    """`boathouse`, `dbt` or any other program in a terminal of its own, and what it has shown."""

    def __init__(
        self, settings: Settings, program: str, *arguments: str, **environment: str
    ) -> None:
        self.settings = settings
        self._shown = settings.home_folder / "terminal.txt"
        commands = {
            "boathouse": ["boathouse"],
            "dbt": [str(Path(sys.executable).with_name("dbt")), "--no-use-colors"],
        }
        how: dict[str, Any] = {
            "cwd": settings.project,
            "env": {
                **os.environ,
                "PYTHONPATH": str(REPOSITORY),
                "BOATHOUSE_HOME": str(settings.home_folder),
                "BOATHOUSE_SETTLE_SECONDS": "0",
                "PYTHONFAULTHANDLER": "1",
                **by_hand(settings.home_folder),
                **environment,
            },
        }
        self.process: Running
        with self._shown.open("w") as shown:
            how |= {"stdout": shown, "stderr": shown}
            if program in commands:
                command = [*commands[program], *arguments]
                self.process = forked.Process(command, **how, own_session=True)
            else:
                command = [program, *arguments]
                self.process = subprocess.Popen(command, **how, start_new_session=True, text=True)

    def shown(self) -> str:
        """Return what can be read there now."""
        return self._shown.read_text()

    def wait_until(self, is_so: Callable[[], bool], what: str) -> None:
        """Return when `is_so` says yes; fail when the command ends before."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not is_so():
            assert self.process.poll() is None, f"ended before {what}:\n{self.shown()}"
            assert time.monotonic() < deadline, f"waited in vain until {what}:\n{self.shown()}"
            time.sleep(0.02)

    def wait_for(self, text: str) -> None:
        """Return when this can be read there."""
        self.wait_until(lambda: text in self.shown(), f"it says {text!r}")

    def wait_for_writer(self) -> None:
        """Return when the command holds the lock."""

        def is_writing() -> bool:
            holder = lock.holder(self.settings)
            is_it = holder is not None and holder.pid == self.process.pid
            return is_it and lock.is_held(self.settings)

        self.wait_until(is_writing, "it writes")

    def press_until_heard(self, answer: str) -> None:
        """Interrupt all that runs there until this can be read; see `interrupt`."""
        os.killpg(self.process.pid, signal.SIGINT)
        patient_until = time.monotonic() + PATIENCE_SECONDS / 10
        while answer not in self.shown() and time.monotonic() < patient_until:
            time.sleep(0.02)
        if answer not in self.shown():
            os.killpg(self.process.pid, signal.SIGINT)
        self.wait_for(answer)

    def interrupt(self) -> int:
        """Interrupt all that runs there until it ends; return its exit code.

        Python may miss a signal that comes just as its main thread begins to wait for a lock: as a
        person would, this presses the keys again when nothing says that they were heard.
        """
        for _ in range(3):
            before = len(self.shown())
            os.killpg(self.process.pid, signal.SIGINT)
            with suppress(subprocess.TimeoutExpired):
                return self.process.wait(timeout=PATIENCE_SECONDS / 10)
            if any(word in self.shown()[before:] for word in HEARD):
                break
        with suppress(subprocess.TimeoutExpired):
            return self.process.wait(timeout=PATIENCE_SECONDS)
        self.process.send_signal(signal.SIGABRT)  # which shows what each thread is at
        self.process.wait(timeout=PATIENCE_SECONDS)
        raise AssertionError(f"it does not end:\n{self.shown()}")

    def press_ctrl_c(self, code: int) -> str:
        """Interrupt all that runs there; check the end, and return what was shown."""
        ended = self.interrupt()
        shown = self.shown()
        assert ended == code, f"exit code {ended}:\n{shown}"
        assert "Traceback" not in shown and "KeyboardInterrupt" not in shown, shown
        assert not lock.is_held(self.settings)
        return shown


@contextmanager
def terminal(
    settings: Settings, program: str, *arguments: str, **environment: str
) -> Iterator[Terminal]:
    """Start a command, and end it when the `with` block is left."""
    started = Terminal(settings, program, *arguments, **environment)
    try:
        yield started
    finally:
        started.process.kill()
        started.process.wait()


def slow_model(settings: Settings) -> Path:
    return settings.project / "models" / "staging" / "sessions" / "stg_sessions__slow.sql"


def last_build(settings: Settings) -> Any:
    with lake.connect(settings, read_only=True) as opened:
        return status.find_last_build(opened, settings)


def blocked(settings: Settings) -> dict[str, str]:
    with lake.connect(settings, read_only=True) as opened:
        return {each.node: each.reason for each in find_blockers(opened)}


def test_dbt_retry_and_run_do_what_ctrl_c_has_left(
    editable_house: Settings, tmp_path: Path
) -> None:
    slow = slow_model(editable_house)
    slow.write_text(TABLE + LONG)
    houses.add_events(editable_house, houses.sessions([100]))
    select = ("--select", "stg_sessions__slow", "source:raw.session_events+")
    with terminal(editable_house, "dbt", "build", *select) as typed:
        typed.wait_for("START sql table model staging.stg_sessions__slow")
        shown = typed.press_ctrl_c(2)
    assert "Interrupted. `dbt retry` runs what was not done." in shown
    last = last_build(editable_house)
    assert (last.status, last.command) == ("interrupted", "dbt build")
    assert last.finished_at is not None
    reason = "interrupted in build 2: the command ended before this was done"
    assert blocked(editable_house)["stg_sessions__slow"] == reason
    assert blocked(editable_house)["unique_among_new_fct_sessions_session_id__session_events"]
    slow.write_text(TABLE + "select 1 as n")
    other = clone(editable_house, tmp_path / "other")
    retried = houses.dbt(editable_house, "retry")
    assert retried.returncode == 0, retried.stdout
    assert "stg_sessions__slow" in retried.stdout
    pipeline.run(other)
    for each in (editable_house, other):
        assert blocked(each) == {}
        assert houses.lake_rows(each, "select count(*) from lake.marts.fct_sessions") == [(61,)]
    again = houses.dbt(editable_house, "retry")
    assert "Nothing to do" in again.stdout


def test_ctrl_c_in_a_retry_leaves_the_rest_to_the_next_one(editable_house: Settings) -> None:
    slow = slow_model(editable_house)
    slow.write_text(TABLE + "select no_such_column")
    (slow.parent / "stg_sessions__after.sql").write_text(
        TABLE + "select n from {{ ref('stg_sessions__slow') }}"
    )
    assert houses.dbt(editable_house, "run", "--select", "stg_sessions__slow+").returncode == 1
    slow.write_text(TABLE + LONG)
    with terminal(editable_house, "dbt", "retry") as typed:
        typed.wait_for("START sql table model staging.stg_sessions__slow")
        typed.press_ctrl_c(2)
    slow.write_text(TABLE + "select 1 as n")
    retried = houses.dbt(editable_house, "retry")
    assert retried.returncode == 0, retried.stdout
    assert "model staging.stg_sessions__after" in retried.stdout


def test_unit_tests_of_a_model_that_was_not_built_are_retried(editable_house: Settings) -> None:
    include_unit_tests(editable_house.project)
    parent = slow_model(editable_house).with_name("stg_sessions__events.sql")
    as_it_was = parent.read_text()
    parent.write_text(f'{{{{ config(pre_hook="{LONG}") }}}}\n{as_it_was}')
    with terminal(
        editable_house, "dbt", "build", "--select", "stg_sessions__events", "dim_players"
    ) as typed:
        typed.wait_for("START sql view model staging.stg_sessions__events")
        typed.press_ctrl_c(2)
    parent.write_text(as_it_was)
    retried = houses.dbt(editable_house, "retry")
    assert retried.returncode == 0, retried.stdout
    assert "PASS dim_players::player_has_counts_and_seconds_of_all_sessions" in retried.stdout
    assert "PASS unique_dim_players_player_id" in retried.stdout


def test_ctrl_c_in_a_models_unit_tests_ends_the_model_too(editable_house: Settings) -> None:
    include_unit_tests(editable_house.project)
    model = editable_house.project / "models" / "marts" / "sessions" / "dim_players.sql"
    model.write_text(f'{{{{ config(pre_hook="{LONG}") }}}}\n{model.read_text()}')
    with terminal(editable_house, "dbt", "build", "--select", "dim_players") as typed:
        typed.wait_for("START unit_test dim_players")
        typed.press_ctrl_c(2)
    assert last_build(editable_house).status == "interrupted"


def test_ctrl_c_ends_dbt_that_waits_for_another_writer(house: Settings) -> None:
    with (
        lock.writer(house, "somebody"),
        terminal(house, "dbt", "run", "--select", "dim_players") as typed,
    ):
        typed.wait_for("Waiting for `somebody`")
        assert typed.interrupt() == 2
        assert "Traceback" not in typed.shown()
        assert lock.held_here(house), "it ended although the other one went on"
    assert len(houses.lake_rows(house, "from lake.meta.builds")) == 1


def test_build_goes_on_after_ctrl_c(editable_house: Settings) -> None:
    slow = slow_model(editable_house)
    slow.write_text(TABLE + LONG)
    log = editable_house.home_folder / "dbt" / "logs" / "dbt.log"
    with terminal(editable_house, "boathouse", "build") as typed:
        typed.wait_until(
            lambda: log.exists() and "model staging.stg_sessions__slow" in log.read_text(),
            "the long query runs",
        )
        shown = typed.press_ctrl_c(130)
    assert shown.endswith(
        "✗ Interrupted.\n  Nothing is half done: run the same command again and it goes on.\n"
    )
    assert last_build(editable_house).status == "interrupted"
    assert blocked(editable_house)
    slow.unlink()
    run_build(editable_house).require_green()
    assert blocked(editable_house) == {}


@pytest.mark.parametrize(
    "command", [("release",), ("maintain",), ("load",), ("run",), ("quarantine", "replay")]
)
def test_writing_command_ends_with_a_sentence_and_can_be_run_again(
    house: Settings, command: tuple[str, ...]
) -> None:
    with terminal(house, "boathouse", *command) as typed:
        typed.wait_for_writer()
        assert "✗ Interrupted.\n" in typed.press_ctrl_c(130)
    release(house)
    assert houses.released_rows(house, "select count(*) from marts.fct_sessions") == [(60,)]


def test_ctrl_c_ends_a_backup_and_leaves_none(house: Settings) -> None:
    target = house.home_folder.parent / "backup.tgz"
    with terminal(house, "boathouse", "backup", str(target)) as typed:
        typed.wait_until(lambda: lock.is_file_held(house.home_folder / "backup.lock"), "it copies")
        assert "✗ Interrupted.\n" in typed.press_ctrl_c(130)
    assert not target.exists()


@pytest.mark.parametrize("place", [("--lake",), ()])
def test_ctrl_c_ends_a_long_query(house: Settings, place: tuple[str, ...]) -> None:
    release(house)
    with terminal(house, "boathouse", "sql", *place, LONG) as typed:
        fds = Path(f"/proc/{typed.process.pid}/fd")
        file = "catalog.sqlite" if place else "1.duckdb"  # of the release
        typed.wait_until(lambda: file in _open_files(fds), f"{file} is open")
        assert "✗ Interrupted.\n" in typed.press_ctrl_c(130)


def _open_files(folder: Path) -> set[str]:
    names = set()
    for each in folder.iterdir():
        try:
            names.add(each.readlink().name)
        except OSError:
            continue
    return names


def test_ctrl_c_while_python_still_imports_is_no_traceback(house: Settings) -> None:
    arguments = ("-m", "boathouse", "status")
    with terminal(house, sys.executable, *arguments, PYTHONPROFILEIMPORTTIME="1") as typed:
        typed.wait_for("typer._click")
        typed.press_ctrl_c(130)


def test_second_ctrl_c_ends_a_watch_in_the_middle_of_a_run(editable_house: Settings) -> None:
    slow_model(editable_house).write_text(TABLE + LONG)
    log = editable_house.home_folder / "dbt" / "logs" / "dbt.log"
    with terminal(editable_house, "boathouse", "watch") as typed:
        typed.wait_until(
            lambda: log.exists() and "model staging.stg_sessions__slow" in log.read_text(),
            "the long query runs",
        )
        typed.press_until_heard("Ctrl-C again stops it")
        assert "✗ Interrupted.\n" in typed.press_ctrl_c(130)
    assert last_build(editable_house).status == "interrupted"


def test_killed_build_is_interrupted_and_one_whose_process_lives_is_running(
    editable_house: Settings,
) -> None:
    slow_model(editable_house).write_text(TABLE + LONG)
    with terminal(editable_house, "dbt", "run", "--select", "stg_sessions__slow") as typed:
        typed.wait_for("START sql table model staging.stg_sessions__slow")
        assert last_build(editable_house).status == "running"
        found = status.collect(editable_house)
        assert found.writer is not None and found.writer.startswith("`dbt run` (process ")
        os.killpg(typed.process.pid, signal.SIGKILL)
        typed.process.wait()
    noted = "select status from lake.meta.builds order by build_id desc limit 1"
    assert houses.lake_rows(editable_house, noted) == [("running",)]
    assert last_build(editable_house).status == "interrupted"
    with lock.writer(editable_house, "somebody else"):
        assert last_build(editable_house).status == "interrupted"
    assert status.collect(editable_house).as_dict()["last_build"]["status"] == "interrupted"
    (told,) = [f for f in doctor.diagnose(editable_house).findings if f.area == "build"]
    assert told.level == "warning"
    assert told.what.startswith("Build 2 (`dbt run`, ")
    assert "`boathouse run` does the rest" in told.to_do
    with terminal(editable_house, "boathouse", "status") as typed:
        typed.process.wait(timeout=PATIENCE_SECONDS)
        assert "Last build: 2, interrupted" in typed.shown()
        assert "`dbt run` was stopped or killed before it was done." in typed.shown()
    slow_model(editable_house).unlink()
    run_build(editable_house).require_green()
    release(editable_house)
    shown = houses.released_rows(editable_house, "select status from meta.builds order by build_id")
    assert shown == [("success",), ("interrupted",), ("success",)]
