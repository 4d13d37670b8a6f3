"""A process that runs dbt again and again, as editors do: in nobody's way while it is idle."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import houses
import pytest
from support.command import wait_until
from support.homes import REPOSITORY, by_hand, clone

from boathouse import lock
from boathouse.build import run_build
from boathouse.settings import Settings

EDITOR = """
import contextlib, io, json, os, sys
os.chdir(settings.project)
from dbt.adapters.factory import FACTORY
from dbt.cli.main import dbtRunner
for line in sys.stdin:
    if line == '["ask the adapter"]\\n':
        adapter = FACTORY.adapters["duckdb"]
        with adapter.connection_named("an editor's own"):
            _, table = adapter.execute("select count(*) from lake.marts.fct_sessions", fetch=True)
        print(json.dumps({"success": True, "told": str(table.rows[0][0])}), flush=True)
        continue
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        ran = dbtRunner().invoke(["--no-use-colors", *json.loads(line)])
    told = printed.getvalue() + str(ran.exception or "")
    print(json.dumps({"success": ran.success, "told": told}), flush=True)
"""
SESSIONS = "select count(*) as sessions from {{ ref('fct_sessions') }}"
FAILING_MACRO = "{% macro fails() %}{% do run_query('select no_such_column') %}{% endmacro %}"


@dataclass(frozen=True)
class Editor:
    """A process that waits for dbt commands."""

    settings: Settings
    process: subprocess.Popen[str]

    def start(self, *arguments: str) -> None:
        """Let it begin a command."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(arguments) + "\n")
        self.process.stdin.flush()

    def finish(self) -> Any:
        """Return what became of the command, once it has ended and the process is idle."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, self.process.communicate()
        return json.loads(line)

    def dbt(self, *arguments: str) -> Any:
        """Run a command, and return what became of it."""
        self.start(*arguments)
        return self.finish()

    def sessions(self) -> int:
        """Return how many sessions its dbt sees now."""
        done = self.dbt("-q", "show", "--inline", SESSIONS, "--output", "json")
        assert done["success"], done["told"]
        return int(json.loads(done["told"])["show"][0]["sessions"])


@contextmanager
def editor(settings: Settings) -> Iterator[Editor]:
    """Start an editor's process, and end it when the `with` block is left."""
    home = settings.home_folder
    process = subprocess.Popen(
        [sys.executable, "-c", houses.with_settings(settings, EDITOR)],
        env={
            **os.environ,
            "PYTHONPATH": str(REPOSITORY),
            "BOATHOUSE_HOME": str(home),
            **by_hand(home),
        },
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield Editor(settings, process)
    finally:
        process.kill()
        process.communicate()


@pytest.fixture(scope="module")
def open_editor(_template: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Editor]:
    """Return one process for the tests that follow each other, with a project that they change.

    To import dbt and to parse takes longer than what most of them ask.
    """
    folder = tmp_path_factory.mktemp("editor")
    house = clone(_template, folder / "data")
    project = shutil.copytree(house.project, folder / "project")
    with editor(house.model_copy(update={"project": project})) as started:
        yield started


def add_model(settings: Settings, name: str, query: str) -> None:
    path = settings.project / "models" / "staging" / "sessions" / f"{name}.sql"
    path.write_text("{{ config(materialized='table') }} " + query)


def statuses(settings: Settings) -> list[Any]:
    found = houses.lake_rows(settings, "select status from lake.meta.builds order by build_id")
    return [status for (status,) in found]


def test_query_after_a_command_has_ended_takes_no_lock(open_editor: Editor) -> None:
    house = open_editor.settings
    assert open_editor.dbt("run", "--select", "fct_sessions")["success"]
    assert open_editor.dbt("ask the adapter")["told"] == "60"
    assert not lock.is_held(house)
    run_build(house, select=["dim_players"]).require_green()
    assert open_editor.dbt("ask the adapter")["told"] == "60"
    assert open_editor.dbt("run", "--select", "fct_sessions")["success"]
    assert not lock.is_held(house)


def test_idle_dbt_process_lets_others_write_and_sees_what_they_wrote(open_editor: Editor) -> None:
    house = open_editor.settings
    before = statuses(house)
    assert open_editor.dbt("run", "--select", "fct_sessions")["success"]
    assert not lock.is_held(house)
    assert open_editor.sessions() == 60
    houses.add_events(house, houses.sessions([100]))
    impatient = house.model_copy(update={"lock_timeout": 0})
    run_build(impatient, select=["fct_sessions+"]).require_green()
    assert open_editor.sessions() == 61
    houses.add_events(house, houses.sessions([101]))
    assert open_editor.dbt("build", "--select", "fct_sessions+")["success"]
    assert open_editor.sessions() == 62
    assert not lock.is_held(house)
    assert statuses(house) == [*before, *["success"] * 3]


def test_second_build_of_a_process_knows_the_project_as_it_is_then(open_editor: Editor) -> None:
    house = open_editor.settings
    known = "select count(*) from lake.meta.nodes where name = 'stg_sessions__more'"
    assert open_editor.dbt("run", "--select", "fct_sessions")["success"]
    add_model(house, "stg_sessions__more", "select 1 as one")
    assert open_editor.dbt("run", "--select", "stg_sessions__more")["success"]
    assert houses.lake_rows(house, known) == [(1,)]


def test_dbt_command_holds_the_lock_while_it_runs_even_after_one_that_only_reads(
    open_editor: Editor,
) -> None:
    house = open_editor.settings
    slow = "select count(*) as n from range(10000000) as a, range(100000) as b where a.range < 0"
    add_model(house, "stg_sessions__slow", slow)
    assert open_editor.sessions() > 0
    for _ in range(2):
        open_editor.start("run", "--select", "stg_sessions__slow")
        wait_until(lambda: lock.is_held(house), "dbt writes", open_editor.process)
        holder = lock.holder(house)
        assert holder is not None
        assert (holder.command, holder.pid) == ("dbt run", open_editor.process.pid)
        assert open_editor.finish()["success"]
        assert not lock.is_held(house)


def test_dbt_command_lets_go_however_it_ends(open_editor: Editor) -> None:
    house = open_editor.settings
    (house.project / "macros/fails.sql").write_text(FAILING_MACRO)
    add_model(house, "stg_sessions__broken", "select no_such_column")
    for succeeds, *command in (
        (True, "compile"),
        (True, "docs", "generate"),
        (True, "seed"),
        (True, "snapshot"),
        (True, "test", "--select", "dim_players"),
        (False, "run", "--select", "stg_sessions__broken"),
        (False, "run", "--fail-fast", "--select", "stg_sessions__broken", "dim_players"),
        (False, "retry"),
        (False, "run-operation", "fails"),
        (False, "run-operation", "no_such_macro"),
        (False, "build", "--no-such-option"),
    ):
        done = open_editor.dbt(*command)
        assert done["success"] is succeeds, (command, done["told"])
        assert not lock.is_held(house), command
    add_model(house, "stg_sessions__lost", "select * from {{ ref('no_such_model') }}")
    assert "no_such_model" in open_editor.dbt("build")["told"]
    assert not lock.is_held(house)
    assert "running" not in statuses(house)


def test_variable_of_python_is_no_table_for_dbt_either(house: Settings) -> None:
    done = houses.dbt(house, "show", "--inline", "from sql")
    assert "Table with name sql does not exist" in done.stdout


def test_dbt_command_that_may_not_wait_says_for_whom_without_a_traceback(house: Settings) -> None:
    with lock.writer(house, "somebody"):
        done = houses.dbt(house, "run", "--select", "dim_players", BOATHOUSE_LOCK_TIMEOUT="0.2")
    assert done.returncode == 2
    assert "Gave up after 0 s: `somebody` (process " in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


def test_build_whose_hooks_are_broken_is_noted_as_ended(editable_house: Settings) -> None:
    macro = editable_house.project / "macros" / "builds" / "record_build.sql"
    macro.write_text(macro.read_text().replace("select max(build_id) from", "select max(x) from"))
    done = houses.dbt(editable_house, "run", "--select", "dim_players")
    assert done.returncode != 0
    assert statuses(editable_house)[-1] == "interrupted"
    assert not lock.is_held(editable_house)
