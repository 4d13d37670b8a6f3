"""A team's shared catalogue in PostgreSQL: the same commands, and one writer among all machines."""

import json
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pytest
from support.command import House, finish
from support.postgres import ask, make_database, make_machines, settings_of

from boathouse import extensions, identity, lake, lock, status

DAY_1 = "PurchaseID,product,user,date\n1,12,31,2023-07-01\n2,13,32,2023-07-01\n"
DAY_2 = "PurchaseID,product,user,date\n1,14,31,2023-07-02\n2,13,32,2023-07-01\n"


@pytest.fixture(scope="module")
def catalog(postgres: str) -> str:
    """Return the address of an empty database."""
    return postgres


@pytest.fixture(scope="module")
def machines(
    machine: House, catalog: str, tmp_path_factory: pytest.TempPathFactory
) -> tuple[House, House]:
    return make_machines(machine, tmp_path_factory.mktemp("machines"), catalog)


def test_run_release_and_time_travel_work_on_a_shared_catalogue(
    machines: tuple[House, House],
) -> None:
    one, two = machines
    one.drop("purchases", "purchases_2023-07-21.csv", DAY_1)
    assert "Released: 1" in one.boathouse("run").stdout
    assert one.released("select count(*) from marts.fct_purchase_versions") == [(2,)]
    before = datetime.now(UTC).isoformat()

    # The other machine sees what the first has loaded, and goes on.
    query = "select count(*) as n from raw.purchases"
    assert two.json("sql", "--lake", query) == [{"n": 2}]
    two.drop("purchases", "purchases_2023-07-22.csv", DAY_2)
    two.boathouse("load")
    purchases = ("--select", "source:raw.purchases+")
    two.boathouse("build", *purchases, "--exclude", "resource_type:unit_test")
    two.boathouse("release")
    assert two.released("select count(*) from marts.fct_purchase_versions") == [(3,)]
    assert one.json("sql", "--lake", query) == [{"n": 4}]
    assert one.json("sql", "--lake", "--as-of", before, query) == [{"n": 2}]
    snapshot = "select min(lake_snapshot) as n from meta.releases"
    version = one.json("sql", "--lake", snapshot)[0]["n"]
    assert one.json("sql", "--lake", "--version", str(version), query) == [{"n": 2}]
    assert one.json("status")["last_build"]["status"] == "success"


def test_homes_of_all_machines_carry_the_identity_of_the_shared_lake(
    machines: tuple[House, House],
) -> None:
    marks = [identity.of_home(settings_of(machine)) for machine in machines]
    query = (
        "select value as lake from __ducklake_metadata_lake.ducklake_metadata "
        "where key = 'boathouse_lake'"
    )
    (told,) = machines[0].json("sql", "--lake", query)
    files = json.loads(Path(machines[0].environment["BOATHOUSE_LAKE"], identity.FILE).read_text())
    assert {mark.lake for mark in marks if mark is not None} == {told["lake"], files["lake"]}
    assert None not in marks


def test_shared_lake_of_an_older_format_is_upgraded_once_and_kept_as_it_was(
    machines: tuple[House, House],
) -> None:
    one, two = machines
    settings = settings_of(one)

    def as_it_was(con: duckdb.DuckDBPyConnection) -> None:
        con.execute("drop table lake.meta.node_results")
        con.execute("alter table lake.meta.latest_results rename to node_results")

    metadata = "__ducklake_metadata_lake.ducklake_metadata"
    with lake.connect(settings) as opened:
        opened.write(as_it_was, "a test")
        opened.con.execute(f"update {metadata} set value = '1' where key = 'boathouse_format'")
        snapshot = opened.current_snapshot()
    said = one.boathouse("release").stderr
    assert "from format 1 to " in said
    schema = said.rpartition(" schema ")[2].partition(" of its database")[0]
    with lake.connect(settings, read_only=True) as opened:
        told = opened.value(
            "from postgres_query('__ducklake_metadata_lake', "
            f"'select max(snapshot_id) from \"{schema}\".ducklake_snapshot')"
        )
        assert told == snapshot
        assert opened.value("select count(*) from lake.meta.latest_results") > 0
    assert "Upgraded" not in two.boathouse("release").stderr


def test_another_database_is_not_taken_for_a_new_lake(
    machines: tuple[House, House], catalog: str
) -> None:
    one = machines[0]
    database = "/template1?"
    wrong = catalog.replace("/postgres?", database)
    assert database in wrong
    nobody = {"BOATHOUSE_HOME": str(one.home.with_name("three"))}
    for command, where in (("run", {}), ("maintain", {}), ("release", {}), ("load", nobody)):
        said = one.boathouse(command, code=1, BOATHOUSE_CATALOG=wrong, **where).stderr
        assert "The catalogue in PostgreSQL is not there, or holds nothing" in said
    with duckdb.connect() as con:
        extensions.load(con, "postgres")
        con.execute(f"attach '{wrong}' as there (type postgres)")
        made = con.execute(
            "select table_name from duckdb_tables() "
            "where database_name = 'there' and table_name like 'ducklake%'"
        )
        assert made.fetchall() == []


def test_home_with_a_catalogue_of_its_own_does_not_change_to_an_empty_one(
    machines: tuple[House, House], catalog: str, tmp_path: Path
) -> None:
    local = House(machines[0].project, tmp_path / "local")
    local.drop("purchases", "purchases_2023-07-21.csv", DAY_1)
    local.boathouse("load")
    local.drop("purchases", "purchases_2023-07-22.csv", DAY_2)
    empty = make_database(catalog, "nothing_yet")
    for command in ("load", "run", "maintain", "release"):
        said = local.boathouse(command, code=1, BOATHOUSE_CATALOG=empty).stderr
        assert "The catalogue in PostgreSQL is not there, or holds nothing" in said
    assert (
        ask(empty, "select relname from pg_class where relnamespace = 'public'::regnamespace") == []
    )
    local.boathouse("load")
    assert local.json("sql", "--lake", "select count(*) as n from raw.purchases") == [{"n": 4}]


def test_machine_that_has_seen_more_than_the_shared_catalogue_has_does_not_write(
    machines: tuple[House, House],
) -> None:
    one, two = machines
    path = two.home / identity.FILE
    told = json.loads(path.read_text())
    path.write_text(json.dumps({**told, "snapshot": told["snapshot"] + 1000}))
    assert "is older than what was made with it" in two.boathouse("load", code=1).stderr
    one.boathouse("load")
    two.boathouse("adopt")
    two.boathouse("load")


def test_two_machines_that_share_a_catalogue_exclude_each_other(
    machines: tuple[House, House],
) -> None:
    one, two = machines
    two.drop("purchases", "purchases_2023-07-23.csv", DAY_2)
    let_go = lock.acquire(settings_of(one), "a test")
    try:
        gave_up = two.boathouse("load", code=1, BOATHOUSE_LOCK_TIMEOUT="0.5")
        assert "Gave up after" in gave_up.stderr
        with two.running("load") as waiting:
            assert waiting.stderr is not None
            assert "Waiting for another machine: `a test` (process " in waiting.stderr.readline()
            assert waiting.poll() is None
            let_go()
            done = finish(waiting)
    finally:
        if lock.held_here(settings_of(one)):
            let_go()
    assert done.returncode == 0, done.stderr
    assert "purchases" in done.stdout


def test_transaction_that_another_machine_came_before_runs_again(
    machines: tuple[House, House],
) -> None:
    attempts = []

    def other_machine(statement: str) -> None:
        with lake.connect(settings_of(machines[1])) as other:
            other.write(lambda con: con.execute(statement), "the other machine")

    def add(con: duckdb.DuckDBPyConnection) -> None:
        attempts.append(1)
        con.execute("update lake.meta.counted set n = n + 10")
        if len(attempts) == 1:
            other_machine("update lake.meta.counted set n = n + 1")

    other_machine("create schema if not exists lake.meta")
    other_machine("create table lake.meta.counted as select 0 as n")
    with lake.connect(settings_of(machines[0])) as opened:
        opened.write(add, "this machine")
        assert opened.rows("from lake.meta.counted") == [(11,)]
        assert len(attempts) == 2
    other_machine("drop table lake.meta.counted")


def test_writer_that_died_leaves_no_lock_behind(machines: tuple[House, House]) -> None:
    one, two = machines
    code = (
        "import sys, time\n"
        "from boathouse import lock\nfrom boathouse.settings import Settings\n"
        "lock.acquire(Settings(), 'a process that will die')\n"
        "print('held', flush=True)\ntime.sleep(600)\n"
    )
    with one.started("-c", code, program="python") as process:
        assert process.stdout is not None and process.stdout.readline() == "held\n"
        process.kill()
    two.boathouse("load", BOATHOUSE_LOCK_TIMEOUT="60")


def test_address_that_nobody_answers_is_an_error_with_a_hint_and_without_the_password(
    machines: tuple[House, House], tmp_path: Path
) -> None:
    nowhere = f"postgresql://nobody:open-sesame@/nothing?host={tmp_path}"
    lost = House(machines[0].project, tmp_path / "home", {"BOATHOUSE_CATALOG": nowhere})
    for command in (["load"], ["status"], ["sql", "--lake", "select 1"]):
        said = lost.boathouse(*command, code=1).stderr
        assert "does not answer" in said or "server cannot be reached" in said
        assert "BOATHOUSE_CATALOG" in said
        assert "open-sesame" not in said


def test_maintenance_works_on_a_shared_catalogue(machines: tuple[House, House]) -> None:
    one, two = machines
    query = "select count(*) as n from raw.purchases"
    before = two.json("sql", "--lake", query)
    at_once = {"BOATHOUSE_KEEP_SNAPSHOTS_DAYS": "0", "BOATHOUSE_KEEP_FILES_HOURS": "0"}
    careful = House(one.project, one.home, {**one.environment, **at_once})
    done = careful.json("maintain")
    assert done["snapshots_expired"] > 0 and done["counts_compared"] > 0
    assert careful.json("maintain")["snapshots_expired"] == 0
    assert two.json("sql", "--lake", query) == before
    assert "pg_dump" in one.boathouse("backup", code=2).stderr
    assert one.json("doctor")["findings"]


def test_build_of_another_machine_is_running_while_that_one_holds_the_lock(
    machines: tuple[House, House],
) -> None:
    here, there = (settings_of(machine) for machine in machines)

    def seen_from_here() -> str:
        with lake.connect(here, read_only=True) as opened:
            last = status.find_last_build(opened, here)
        assert last is not None
        return last.status

    with lock.writer(there, "boathouse build"), lake.connect(there) as opened:
        begun = "values (1000, 'boathouse build', '', 'running', now()::timestamp)"
        columns = "(build_id, command, selection, status, started_at)"
        opened.con.execute(f"insert into lake.meta.builds {columns} {begun}")
        assert seen_from_here() == "running"
    assert seen_from_here() == "interrupted"
    with lock.writer(there, "a test"), lake.connect(there) as opened:
        opened.con.execute("delete from lake.meta.builds where build_id = 1000")
