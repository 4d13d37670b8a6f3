"""Who has lost the lock of a shared catalogue commits nothing more, says so and begins again."""

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import psycopg
import pytest
from support.command import House, finish
from support.postgres import ask, end_sessions, make_database, make_machines, settings_of

from boathouse import extensions, lake, lock, pipeline, shared_lock
from boathouse.errors import LockLostError, LockTimeoutError, chain
from boathouse.release import release
from boathouse.settings import Settings

HEADER = "PurchaseID,product,user,date\n"
COUNTED = "select count(*) as n from raw.purchases"


@pytest.fixture(scope="module")
def catalog(postgres: str) -> str:
    """Return the address of an empty database."""
    return make_database(postgres, "losing")


@pytest.fixture
def impatient_server(catalog: str) -> Iterator[None]:
    """Let the server end sessions that have nothing to do."""
    for setting in ("idle_in_transaction_session_timeout", "idle_session_timeout"):
        ask(catalog, f"alter database losing set {setting} = '200ms'")
    yield
    ask(catalog, "alter database losing reset all")


@pytest.fixture(scope="module")
def machines(
    machine: House, catalog: str, tmp_path_factory: pytest.TempPathFactory
) -> tuple[House, House]:
    """Return the houses of two machines, the first of which has run once."""
    one, two = make_machines(machine, tmp_path_factory.mktemp("lost"), catalog)
    deliver(one, 1)
    one.boathouse("run")
    return one, two


def deliver(house: House, day: int) -> None:
    house.drop("purchases", f"purchases_2023-08-{day:02}.csv", f"{HEADER}{day},1,2,2023-08-01\n")


def hold(settings: Settings, work: Callable[[duckdb.DuckDBPyConnection], Any]) -> None:
    """Do something in one transaction of the lake, as the one writer."""
    with lock.writer(settings, "a test"), lake.connect(settings) as opened:
        opened.write(work, "a test")


def add_row(con: duckdb.DuckDBPyConnection) -> None:
    con.execute("create table if not exists lake.main.kept (n integer)")
    con.execute("insert into lake.main.kept values (1)")


def test_transaction_of_a_writer_whose_lock_another_one_has_taken_is_refused(
    machines: tuple[House, House], catalog: str
) -> None:
    one, two = machines

    def lose(con: duckdb.DuckDBPyConnection) -> None:
        add_row(con)
        assert end_sessions(catalog, of_lock_alone=True) == 1
        two.boathouse("load")

    with pytest.raises(LockLostError, match="session has ended") as caught:
        hold(settings_of(one), lose)
    assert any("has taken it since" in str(each) for each in chain(caught.value))
    assert caught.value.is_transient and "run it again" in caught.value.hint
    hold(settings_of(one), add_row)  # who takes it again may write
    assert one.json("sql", "--lake", "from lake.main.kept") == [{"n": 1}]


def test_run_that_loses_the_lock_begins_again_and_loses_no_row(
    machines: tuple[House, House], catalog: str, capsys: pytest.CaptureFixture[str]
) -> None:
    one, two = machines
    (before,) = one.json("sql", "--lake", COUNTED)
    deliver(one, 2)
    deliver(two, 3)
    lost = []

    def lose(*_: object) -> None:
        if not lost:
            lost.append(end_sessions(catalog, of_lock_alone=True))
            two.boathouse("run")

    report = pipeline.run(settings_of(one), on_load=lose)
    assert lost == [1]
    assert "was lost" in capsys.readouterr().err
    assert report.release is not None and report.release.is_new
    assert one.json("sql", "--lake", COUNTED) == [{"n": before["n"] + 2}]
    assert one.released("select count(*) from marts.fct_purchase_versions") == [(before["n"] + 2,)]
    two.boathouse("run")
    assert two.released("select count(*) from marts.fct_purchase_versions") == [(before["n"] + 2,)]


def test_run_that_loses_the_lock_every_time_gives_up(
    machines: tuple[House, House], catalog: str
) -> None:
    one, _ = machines
    lost = []

    def lose(_: str) -> None:
        lost.append(end_sessions(catalog, of_lock_alone=True))

    with pytest.raises(LockLostError):
        pipeline.run(settings_of(one), on_step=lose)
    assert lost == [1] * lock.MOST_TRIES
    one.boathouse("run")


def test_release_made_from_what_another_writer_may_have_changed_is_not_shown(
    machines: tuple[House, House], catalog: str
) -> None:
    one, _ = machines
    deliver(one, 4)
    one.boathouse("load")
    one.boathouse("build", "--exclude", "resource_type:unit_test")
    shown = one.settings.warehouse.resolve()
    lost: list[int] = []
    tries = []

    def lose(progress: Any) -> None:
        if progress.step == "audit":
            tries.append(one.settings.warehouse.resolve())
            lost.append(end_sessions(catalog, of_lock_alone=True) if len(tries) == 1 else 0)

    assert release(settings_of(one), on_progress=lose).is_new
    assert tries == [shown, shown] and lost == [1, 0]


def test_next_writer_waits_for_a_commit_that_has_begun(
    machines: tuple[House, House], catalog: str
) -> None:
    one, two = machines
    hold(settings_of(one), add_row)
    (newest,) = ask(catalog, "select token from boathouse_writer")[0]
    options = f"-c boathouse.token={newest}"
    hurried = settings_of(two).model_copy(update={"lock_timeout": 0.5})
    with psycopg.connect(catalog, options=options) as committing:
        committing.execute("delete from ducklake_snapshot where false")
        with pytest.raises(LockTimeoutError), lock.writer(hurried, "the next one"):
            pytest.fail("two writers")
    with lock.writer(hurried, "the next one"):
        assert lock.token(hurried) == newest + 1


def test_other_clients_write_as_before(machines: tuple[House, House], catalog: str) -> None:
    one, _ = machines
    with lock.writer(settings_of(one), "a test"), duckdb.connect() as con:
        extensions.load(con, "ducklake", "postgres")
        con.execute(f"attach 'ducklake:postgres:{catalog}' as lake")
        con.execute("create table lake.main.theirs as select 1 as n")
        con.execute("drop table lake.main.theirs")


@pytest.mark.usefixtures("impatient_server")
def test_lock_and_transactions_outlast_the_time_outs_of_the_server(
    machines: tuple[House, House], catalog: str
) -> None:
    here = settings_of(machines[0])
    with lock.writer(here, "a long load"), lake.connect(here) as opened:
        opened.con.execute("begin")
        add_row(opened.con)
        ask(catalog, "select pg_sleep(0.6)")
        opened.con.execute("commit")
        ask(catalog, "select pg_sleep(0.6)")
        lock.require(here)
        opened.write(add_row, "a connection that had nothing to do")


def test_token_goes_with_the_options_that_the_address_has(
    machines: tuple[House, House], catalog: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGOPTIONS", "-c work_mem=2MB")
    asked = "select current_setting('work_mem') as m, current_setting('boathouse.token') as t"
    for added, memory in (("&options=-c%20work_mem%3D3MB", "3MB"), ("", "2MB")):
        here = settings_of(machines[0]).model_copy(update={"catalog": catalog + added})
        with lock.writer(here, "a test"), lake.connect(here) as opened:
            query = f"from postgres_query('__ducklake_metadata_lake', $${asked}$$)"
            assert opened.rows(query) == [(memory, str(lock.token(here)))]


DYING = """
import sys
from boathouse import lake, lock
from boathouse.settings import Settings
here = Settings()
with lock.writer(here, "a test"), lake.connect(here) as opened:
    opened.con.execute("begin")
    opened.con.execute("create table lake.main.lost (n integer)")
    print("begun", flush=True)
    sys.stdin.readline()
    raise ValueError("what a command ends with")
"""


def test_no_session_that_has_ended_ends_the_process(
    machines: tuple[House, House], catalog: str
) -> None:
    one, _ = machines
    how = one.how({})
    with subprocess.Popen(
        [sys.executable, "-c", DYING],
        **how,
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None and process.stdout.readline() == "begun\n"
        assert end_sessions(catalog) >= 2
        _, said = process.communicate("\n")
    assert process.returncode == 1, said
    assert "LockLostError: The writer lock of the shared catalogue was lost" in said


DYING_HOOK = """
on-run-end:
  - >-
    begin transaction;
    create table lake.main.lost (n integer);
    select * from postgres_query(
      '__ducklake_metadata_lake',
      'select pg_terminate_backend(pid, 10000) as ended from pg_stat_activity
      where datname = current_database() and pid <> pg_backend_pid()'
    );
    select error('what a hook ends with')
"""


def test_dbt_ends_with_a_message_when_the_session_of_a_hook_has_ended(
    machines: tuple[House, House], tmp_path: Path
) -> None:
    one, _ = machines
    project = tmp_path / "project"
    shutil.copytree(one.project, project)
    described = project / "dbt_project.yml"
    described.write_text(described.read_text().replace("\non-run-end:", DYING_HOOK, 1))
    one_model = ("build", "--select", "stg_purchases__purchases")
    with House(project, one.home, one.environment).running(*one_model, program="dbt") as process:
        done = finish(process)
    assert done.returncode in (1, 2), done
    assert "what a hook ends with" in done.stdout
    assert "terminate called" not in done.stderr
    one.boathouse("run")
    assert one.json("status")["last_build"]["status"] == "success"


def test_other_machines_say_who_writes(machines: tuple[House, House]) -> None:
    one, two = machines
    assert two.json("status")["writer"] is None
    with lock.writer(settings_of(one), "boathouse run"):
        for machine in machines:
            writer = machine.json("status")["writer"]
            assert writer.startswith("`boathouse run` (process ")
            assert f"home {one.home}, since " in writer
            told = [each for each in machine.json("doctor")["findings"] if each["area"] == "lock"]
            assert [(each["level"], each["what"]) for each in told] == [
                ("ok", f"{writer} is writing.")
            ]
    told = [each for each in two.json("doctor")["findings"] if each["area"] == "lock"]
    assert "Nobody is writing, on any machine." in str(told)


def test_rollback_does_not_wait_for_another_machine(machines: tuple[House, House]) -> None:
    one, two = machines
    deliver(one, 5)
    one.boathouse("run")
    with lock.writer(settings_of(two), "a long build"):
        one.boathouse("rollback", BOATHOUSE_LOCK_TIMEOUT="600")
    one.boathouse("release")


def test_writer_that_has_noted_nothing_is_somebody(
    machines: tuple[House, House], catalog: str
) -> None:
    _, two = machines
    with psycopg.connect(catalog, autocommit=True) as older:
        older.execute(f"select pg_advisory_lock({shared_lock.ADVISORY_KEY})")
        assert two.json("status")["writer"] == "another machine"
        assert "Somebody is writing" in str(two.json("doctor")["findings"])
        said = two.boathouse("load", code=1, BOATHOUSE_LOCK_TIMEOUT="0.2").stderr
        assert "Waiting for another machine" in said
