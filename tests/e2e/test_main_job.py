"""The main job and every other command, as a person or a job meets them on the command line."""

import csv
import io
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml
from support.command import PATIENCE_SECONDS, House, finish, interrupt, wait_until
from support.commands import COMMANDS
from support.homes import REPOSITORY, copy_project
from support.prepared import GENERATE, Prepared

PURCHASES = "PurchaseID,product,user,date\n900001,7,8,2026-03-01\n900002,7,9,2026-03-02\n"
SNAPSHOT = "purchases_2026-03-11.csv"


def last_build(house: House) -> tuple[str, str, str]:
    """Return the last build's command, what it selected (without --exclude), and status."""
    ((command, selection, status),) = house.in_lake(
        "select command, selection, status from lake.meta.builds order by build_id desc limit 1"
    )
    return command, selection.partition(" --exclude")[0], status


def built_models(house: House) -> set[str]:
    """Return the models of the last build."""
    return {
        name
        for (name,) in house.in_lake(
            "select name from lake.meta.build_results where kind = 'model' and "
            "build_id = (select max(build_id) from lake.meta.builds)"
        )
    }


def release_ids(house: House) -> list[int]:
    return [item["release_id"] for item in house.json("releases")]


# -- the main job --------------------------------------------------------------------------


def test_first_run_tells_what_was_loaded_rejected_built_and_released_and_what_next(
    prepared: Prepared,
) -> None:
    said = prepared.ran.stdout
    for source in ("purchases", "session_events", "student_performance"):
        (facts,) = prepared.house.in_lake(
            "select count(*) filter (status = 'loaded'), count(*) filter (status = 'rejected'), "
            "sum(rows_read)::bigint, sum(rows_loaded)::bigint, sum(rows_rejected)::bigint "
            f"from lake.meta.loads where source = '{source}'"
        )
        assert facts[0] and facts[4], "the demo data is dirty, and mostly good"
        (line,) = [line for line in said.splitlines() if line.startswith(f"{source} ")]
        assert line.split()[1:] == [f"{fact:,}" for fact in facts]
    assert "✗ " in said and "boathouse quarantine list" in said
    assert "data tests" in said and "models" in said and "all green" in said
    assert f"Released: 1 → {prepared.house.settings.warehouse}" in said
    assert "Next" in said and "boathouse status" in said


def test_everything_delivered_is_in_the_released_marts(prepared: Prepared) -> None:
    raw = "select count(distinct session_id) from lake.raw.session_events"
    released = "select count(*) from marts.fct_sessions"
    assert prepared.house.released(released) == prepared.house.in_lake(raw)


def test_second_run_says_that_nothing_changed_and_makes_no_release(house: House) -> None:
    before = house.in_lake("select count(*) from lake.meta.builds")
    said = house.boathouse("run").stdout
    assert "Nothing changed." in said
    assert release_ids(house) == [1]
    assert house.in_lake("select count(*) from lake.meta.builds") == before


def test_dropped_file_is_in_the_released_marts_after_the_next_run(
    house: House, students_csv: bytes
) -> None:
    house.drop("student_performance", "student-mat.csv", students_csv)
    said = house.boathouse("run").stdout
    assert "Released: 2" in said
    query = "select count(*) from marts.fct_student_performance where source_file = "
    assert house.released(f"{query} 'student-mat.csv'") == [(395,)]
    assert last_build(house) == ("boathouse run", "source:raw.student_performance+", "success")
    assert not any("purchase" in name or "session" in name for name in built_models(house))


def test_files_are_dropped_directly_into_landing_too(house: House) -> None:
    house.drop(".", SNAPSHOT, PURCHASES)
    loaded = house.json("load")
    assert loaded["sources"]["purchases"]["rows_loaded"] == 2


# -- dbt by hand ---------------------------------------------------------------------------


def test_dbt_build_by_hand_in_the_repository_works_on_an_empty_lake_and_counts(
    tmp_path: Path,
) -> None:
    fresh = House(REPOSITORY, tmp_path / "home")
    fresh.dbt("build")
    assert last_build(fresh) == ("dbt build", "", "success")
    assert unit_tests_passed(fresh) == unit_tests_written()
    assert fresh.json("release")["is_new"]
    assert fresh.released("select count(*) from marts.fct_sessions") == [(0,)]


def unit_tests_written() -> set[tuple[str, str]]:
    """Return the models and names of all unit tests of the project."""
    found = {
        (test["model"], test["name"])
        for path in (REPOSITORY / "models").rglob("*.yml")
        for test in yaml.safe_load(path.read_text()).get("unit_tests", [])
    }
    assert found
    return found


def unit_tests_passed(house: House) -> set[tuple[str, str]]:
    query = "select unique_id from lake.meta.build_results where kind = 'unit_test'"
    rows = house.in_lake(f"{query} and status = 'pass'")
    return {tuple(unique_id.split(".")[2:]) for (unique_id,) in rows}


def test_dbt_build_by_hand_is_what_the_next_release_shows(house: House) -> None:
    house.drop("purchases", SNAPSHOT, PURCHASES)
    house.boathouse("load")
    house.dbt("build", "--select", "source:raw.purchases+")
    assert house.json("release")["release"]["release_id"] == 2
    query = "select count(*) from marts.fct_purchases where purchase_id in (900001, 900002)"
    assert house.released(query) == [(2,)]


def test_dbt_build_waits_for_nobody_and_load_waits_for_dbt_build(house: House) -> None:
    house.drop("purchases", SNAPSHOT, PURCHASES)
    arguments = ("build", "--select", "stg_sessions__events+")
    with house.started(*arguments, program="dbt") as building:
        house.wait_for_writer(building, "dbt build")
        with house.running("load") as loading:
            loaded = finish(loading)
        built = finish(building)
    assert built.returncode == 0, built.stdout
    assert loaded.returncode == 0, loaded.stderr
    assert f"Waiting for `dbt build` (process {building.pid}" in loaded.stderr
    assert house.in_lake(f"select count(*) from lake.raw.purchases where _file = '{SNAPSHOT}'") == [
        (2,)
    ]


# -- every command -------------------------------------------------------------------------


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_help_of_every_command_has_an_example(command: tuple[str, ...], prepared: Prepared) -> None:
    said = prepared.house.boathouse(*command, "--help").stdout
    assert f"Example: boathouse {' '.join(command)}" in said
    assert "--json" in said
    assert "--debug" in said


@pytest.mark.parametrize("command", ["status", "doctor", "run"])
def test_commands_do_without_what_takes_long_to_import(house: House, command: str) -> None:
    """DuckDB imports pandas for a value that is bound; only new SQL has to be parsed."""
    arguments = ("-X", "importtime", "-m", "boathouse", command)
    with house.started(*arguments, program="python") as process:
        _, told = process.communicate(timeout=PATIENCE_SECONDS)
    imported = {line.rpartition("|")[2].strip() for line in told.splitlines()}
    assert process.returncode == 0, told
    assert "boathouse.lake" in imported and not {"pandas", "sqlglot"} & imported


def test_json_of_every_command_parses(house: House) -> None:
    """Each command in turn, in one house; those that go on and on have tests of their own."""
    tried = {("watch",), ("simulate", "vehicles"), ("source", "new"), ("pull",)}

    def json_of(*command: str, options: tuple[str, ...] = ()) -> Any:
        tried.add(command)
        return house.json(*command, *options)

    assert json_of("status")["current_release"]["release_id"] == 1
    assert len(json_of("generate", options=("--scale", "0.001", "--source", "purchases"))) > 1
    house.drop("purchases", SNAPSHOT, PURCHASES)
    assert json_of("load")["sources"]["purchases"]["files_loaded"] > 1
    built = json_of("build", options=("-s", "source:raw.purchases+", "dim_players"))
    assert {"fct_purchases", "dim_players"} <= {each["name"] for each in built["results"]}
    assert {result["status"] for result in built["results"]} <= {"success", "pass"}
    assert json_of("release")["release"]["release_id"] == 2
    assert json_of("rollback")["release_id"] == 1
    assert [item["is_current"] for item in json_of("releases")] == [False, True]
    assert json_of("run")["load"]["sources"] == {}
    assert json_of("sql", options=("select 1 as one",)) == [{"one": 1}]
    assert json_of("quarantine", "list")["files"]
    assert json_of("quarantine", "replay")["sources"] is not None
    made = json_of("api-key", "create", options=("game", "--scope", "sessions"))
    assert [key["name"] for key in json_of("api-key", "list")] == ["game"]
    assert json_of("api-key", "revoke", options=(made["key_id"],))["revoked_at"]
    assert json_of("doctor")
    assert json_of("maintain", options=("--dry-run",))
    assert json_of("adopt")["was_refused"] == ""
    assert json_of("audit", options=("--share", "1"))["models"]
    assert json_of("diff", options=("1", "2"))["marts"]
    assert json_of("env", "create", options=("dev",))["name"] == "dev"
    assert [each["name"] for each in json_of("env", "list")] == ["dev"]
    assert json_of("env", "drop", options=("dev", "--yes"))
    backup, again = house.home.with_name("backup.tar"), house.home.with_name("again")
    assert json_of("backup", options=(str(backup),))
    assert json_of("restore", options=(str(backup), "--into", str(again)))
    assert tried == set(COMMANDS)


def test_source_set_up_from_a_file_takes_the_file(tmp_path: Path) -> None:
    house = House(copy_project(tmp_path / "project", []), tmp_path / "home")
    sample = tmp_path / "orders_2026-01-31.csv"
    sample.write_text("OrderID,placed\n1,2026-01-31 10:00\n2,2026-01-31 11:00\n")
    made = house.json("source", "new", str(sample), "--domain", "shop")
    assert (made["source"], made["rows"], len(made["files"])) == ("orders", 2, 3)
    assert (made["trial"]["rows_loaded"], made["trial"]["problems"]) == ({"orders": 2}, [])
    house.drop("orders", sample.name, sample.read_text())
    assert house.json("load")["sources"]["orders"]["rows_loaded"] == 2
    said = house.boathouse("source", "new", str(sample), "--domain", "shop", code=2).stderr
    assert "There is a contract for orders already" in said


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["sql", "select no_such_column from marts.fct_sessions"], 1, "no_such_column"),
        (["rollback"], 1, "No release is older"),
        (["rollback", "99"], 1, "Release 99 is not kept"),
        (["load", "--source", "nonsense"], 2, "There is no source 'nonsense'"),
        (["build", "--select", "nonsense"], 2, "nonsense"),
        (["sql", "--version", "1", "select 1"], 2, "Add --lake"),
        (["sql", "--lake", "--as-of", "yesterday", "select 1"], 2, "'yesterday' is no time"),
        (["generate", "--until", "soon"], 2, "'soon' is no date"),
        (["simulate", "vehicles", "--rate", "0"], 2, "--rate"),
        (["nonsense"], 2, "nonsense"),
        (["load", "--nonsense"], 2, "--nonsense"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_error_says_what_and_what_to_do_without_a_traceback(
    prepared: Prepared, arguments: list[str], code: int, said: str
) -> None:
    assert said in prepared.house.boathouse(*arguments, code=code).stderr


def test_too_little_memory_is_told_with_the_setting_that_gives_more(prepared: Prepared) -> None:
    said = prepared.house.boathouse("release", code=1, BOATHOUSE_MEMORY_LIMIT="2MB").stderr
    assert "There is not enough memory" in said and "BOATHOUSE_MEMORY_LIMIT" in said


def test_errors_before_there_is_a_warehouse_say_what_to_run(tmp_path: Path) -> None:
    fresh = House(REPOSITORY, tmp_path / "home")
    for arguments in (["sql", "select 1"], ["sql", "--lake", "select 1"]):
        assert "boathouse run" in fresh.boathouse(*arguments, code=1).stderr
    assert "boathouse build" in fresh.boathouse("release", code=1).stderr
    assert "boathouse run" in fresh.boathouse("status").stdout
    assert "There is no release yet" in fresh.boathouse("releases").stdout


def test_error_of_a_command_with_json_is_json(prepared: Prepared) -> None:
    error = prepared.house.json("rollback", "99", code=1)
    assert error["exit_code"] == 1
    assert "Release 99" in error["error"] and error["hint"]


def test_wrong_setting_is_named(prepared: Prepared) -> None:
    done = prepared.house.boathouse("status", code=2, BOATHOUSE_THREADS="many")
    assert "BOATHOUSE_THREADS" in done.stderr
    done = prepared.house.boathouse("status", code=2, BOATHOUSE_CATALOG="mysql://nowhere")
    assert "BOATHOUSE_CATALOG" in done.stderr


def test_strict_load_with_rejects_exits_3_and_keeps_what_is_good(house: House) -> None:
    house.drop("purchases", SNAPSHOT, f"{PURCHASES}900003,-1,8,2026-03-01\n")
    assert "1 of 3 rows rejected" in house.boathouse("load", "--strict", code=3).stdout
    assert house.in_lake(f"select count(*) from lake.raw.purchases where _file = '{SNAPSHOT}'") == [
        (2,)
    ]
    (why,) = house.json("quarantine", "list", "--source", "purchases")["rows"][-1]["reasons"]
    assert "product" in why
    house.boathouse("load", "--strict")


def test_status_shows_every_source_the_build_and_the_release(prepared: Prepared) -> None:
    said = prepared.house.boathouse("status").stdout
    for source in ("purchases", "session_events", "student_performance"):
        assert source in said
    assert "Last build: 1, success" in said
    assert "Current release: 1," in said


def test_generate_writes_the_same_files_for_the_same_seed(
    prepared: Prepared, tmp_path: Path
) -> None:
    again = House(prepared.house.project, tmp_path / "home")
    assert (
        again.boathouse(*GENERATE).stdout.split(" into ")[0]
        == (prepared.generated.stdout.split(" into ")[0])
    )
    landing = tmp_path / "home" / "landing"
    written = {
        path.relative_to(folder).as_posix()
        for folder in landing.iterdir()
        for path in folder.rglob("*.*")
    }
    known = {name for (name,) in prepared.house.in_lake("select file_name from lake.meta.loads")}
    assert written == known


# -- queries -------------------------------------------------------------------------------


def test_sql_answers_as_table_csv_and_json_on_release_and_lake(prepared: Prepared) -> None:
    house = prepared.house
    ((expected,),) = house.released("select count(*) from marts.fct_sessions")
    query = "select count(*) as sessions, 'a,b' as text from marts.fct_sessions"
    for where in ([], ["--lake"]):
        assert house.json("sql", *where, query) == [{"sessions": expected, "text": "a,b"}]
        said = house.boathouse("sql", *where, "--csv", query).stdout
        assert list(csv.reader(io.StringIO(said))) == [["sessions", "text"], [str(expected), "a,b"]]
        assert str(expected) in house.boathouse("sql", *where, query).stdout


def test_sql_does_not_write(prepared: Prepared) -> None:
    statement = "delete from marts.fct_sessions"
    for where in ([], ["--lake"]):
        assert "read-only" in prepared.house.boathouse("sql", *where, statement, code=1).stderr


def test_sql_shows_the_lake_as_it_was(house: House) -> None:
    ((version,),) = house.in_lake("select max(lake_snapshot) from lake.meta.releases")
    before_load = datetime.now(UTC).isoformat()
    house.drop("purchases", SNAPSHOT, PURCHASES)
    house.boathouse("load")
    query = f"select count(*) as n from raw.purchases where _file = '{SNAPSHOT}'"
    assert house.json("sql", "--lake", query) == [{"n": 2}]
    assert house.json("sql", "--lake", "--as-of", before_load, query) == [{"n": 0}]
    assert house.json("sql", "--lake", "--version", str(version), query) == [{"n": 0}]


# -- releases ------------------------------------------------------------------------------


def test_rollback_goes_back_and_release_goes_forward(house: House) -> None:
    house.drop("purchases", SNAPSHOT, PURCHASES)
    house.boathouse("run")
    query = "select count(*) from marts.fct_purchases where purchase_id in (900001, 900002)"
    assert house.released(query) == [(2,)]
    assert "Release 1 is current again" in house.boathouse("rollback").stdout
    assert house.released(query) == [(0,)]
    assert "→        1" in house.boathouse("releases").stdout
    assert "Rolled back to release 1" in house.boathouse("run").stdout
    assert house.released(query) == [(0,)]
    house.boathouse("release")
    assert house.released(query) == [(2,)]
    assert release_ids(house) == [2, 1]


# -- together ------------------------------------------------------------------------------


def test_watch_builds_only_what_a_dropped_file_touches_and_finishes_it_on_ctrl_c(
    house: House,
) -> None:
    begun = "select count(*) from lake.meta.builds"
    with house.started("watch", "--interval", "0.2") as watching:
        assert watching.stdout is not None
        assert watching.stdout.readline().startswith("Watching ")
        house.drop("purchases", SNAPSHOT, PURCHASES)
        wait_until(lambda: house.in_lake(begun) == [(2,)], "it builds", watching, every=0.02)
        ended = interrupt(watching)
    assert ended.returncode == 0, ended.stderr
    assert "Ctrl-C again stops it" in ended.stdout and "release 2" in ended.stdout
    assert "Traceback" not in ended.stderr
    query = "select count(*) from marts.fct_purchases where purchase_id in (900001, 900002)"
    assert house.released(query) == [(2,)]
    assert last_build(house) == ("boathouse watch", "source:raw.purchases+", "success")
    assert "fct_purchase_versions" in built_models(house)
    assert not any("session" in name or "student" in name for name in built_models(house))


def test_watch_prints_json_for_every_run(house: House) -> None:
    with house.running("watch", "--interval", "0.2", "--json") as watching:
        assert watching.stdout is not None
        lines = [watching.stdout.readline()]
        while lines[-1] != "}\n":  # the end of an object that is not inside another
            lines.append(watching.stdout.readline())
            assert lines[-1], "it ended"
        ended = interrupt(watching)
    assert ended.returncode == 0, ended.stderr
    assert json.loads("".join(lines))["load"]["sources"] == {}


def test_two_runs_at_once_both_succeed_and_the_second_says_for_whom_it_waits(house: House) -> None:
    house.drop("purchases", SNAPSHOT, PURCHASES)
    with house.started("run") as first:
        house.wait_for_writer(first, "boathouse run")
        with house.running("run") as second:
            done = [finish(first), finish(second)]
    assert [each.returncode for each in done] == [0, 0], [each.stderr for each in done]
    assert f"Waiting for `boathouse run` (process {first.pid}" in done[1].stderr
    assert "(wait " in done[1].stdout and "(load " in done[0].stdout
    assert release_ids(house) == [2, 1]


@contextmanager
def reading(house: House, counts: dict[str, set[int]]) -> Iterator[None]:
    """Read the released file and the lake over and over; an error fails the test."""
    queries = {
        "release": lambda: house.released("select count(*) from marts.fct_purchases"),
        "lake": lambda: house.in_lake("select count(*) from lake.marts.fct_purchases"),
    }
    stop, errors = threading.Event(), []

    def read(what: str) -> None:
        while not stop.wait(0.1):  # leaves the processors to the run
            try:
                counts[what].add(queries[what]()[0][0])
            except duckdb.Error as error:
                errors.append(f"{what}: {error}")
                return

    threads = [threading.Thread(target=read, args=[what]) for what in queries]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert not errors


def test_readers_never_fail_and_see_whole_marts_during_a_run(house: House) -> None:
    counts: dict[str, set[int]] = {"release": set(), "lake": set()}
    ((before,),) = house.released("select count(*) from marts.fct_purchases")
    house.drop("purchases", SNAPSHOT, PURCHASES)
    with reading(house, counts):
        house.boathouse("run")
        wait_until(lambda: 2 in counts["release"], "a reader has seen the new release")
    assert counts == {"release": {before, 2}, "lake": {before, 2}}


def test_ctrl_c_during_a_run_ends_it_quietly_and_the_next_run_goes_on(house: House) -> None:
    house.drop("purchases", SNAPSHOT, PURCHASES)
    with house.running("run") as running:
        house.wait_for_build(running)
        ended = interrupt(running)
    assert ended.returncode == 130, ended.stderr
    assert "Interrupted." in ended.stderr
    assert "Traceback" not in ended.stdout + ended.stderr
    query = "select count(*) from marts.fct_purchases where purchase_id in (900001, 900002)"
    assert house.released(query) == [(0,)]
    assert "Released: 2" in house.boathouse("run").stdout
    assert house.released(query) == [(2,)]
