"""Builds: what is reported, what is noted in the lake, and what stands in a release's way."""

import re
import signal
import time
from pathlib import Path

import houses
import pytest
from support.command import PATIENCE_SECONDS
from support.homes import include_unit_tests

from boathouse import lake
from boathouse.build import Blocker, NodeProgress, find_blockers, prepare_manifest, run_build
from boathouse.errors import BuildError, UsageError
from boathouse.settings import Settings

ONE_BROKEN_EVENT = [("start", None, "p1", "s1", houses.START)]  # a start needs a country


def blockers(settings: Settings) -> list[Blocker]:
    with lake.connect(settings) as opened:
        return find_blockers(opened)


def last_build(settings: Settings) -> tuple[int, str, str]:
    query = "select build_id, command, status from lake.meta.builds order by build_id desc limit 1"
    (found,) = houses.lake_rows(settings, query)
    return found


def add_slow_model(settings: Settings) -> None:
    path = settings.project / "models" / "staging" / "sessions" / "stg_sessions__slow.sql"
    path.write_text(
        "{{ config(materialized='table') }}\n"
        "select count(*) as n from range(1000000) as a, range(1000000) as b, range(1000000) as c\n"
        "where a.range + b.range != c.range"
    )


def wait_until_running(settings: Settings) -> None:
    """Return when the slow model's query is being run, or fail."""
    log = settings.home_folder / "dbt" / "logs" / "dbt.log"
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        if log.exists() and "stg_sessions__slow" in log.read_text():
            return
        time.sleep(0.05)
    raise AssertionError("the build did not reach the slow model")


def test_build_reports_every_node_and_where_the_time_went(editable_house: Settings) -> None:
    include_unit_tests(editable_house.project)
    seen: list[NodeProgress] = []
    report = run_build(editable_house, select=["fct_sessions"], on_progress=seen.append)
    report.require_green()
    assert report.counts["model"] == {"success": 1}
    assert report.counts["test"]["pass"] > 3
    assert report.counts["unit_test"]["pass"] > 3
    model = next(result for result in report.results if result.kind == "model")
    assert (model.name, model.status) == ("fct_sessions", "success")
    assert model.path == Path("models/marts/sessions/fct_sessions.sql")
    assert 0 < report.start_seconds < report.seconds
    assert 0 < report.node_seconds < report.seconds
    finished = [progress for progress in seen if progress.status != "started"]
    assert len(finished) == len(seen) / 2 == len(report.results)
    assert [progress.index for progress in finished] == list(range(1, len(finished) + 1))
    assert {progress.total for progress in finished} == {len(finished)}


def test_build_is_noted_in_the_lake_under_its_command(house: Settings) -> None:
    report = run_build(house, select=["dim_players"], command="boathouse test")
    assert last_build(house) == (report.build_id, "boathouse test", "success")
    query = (
        f"select unique_id, status from lake.meta.build_results where build_id={report.build_id}"
    )
    noted = set(houses.lake_rows(house, query))
    assert noted == {(result.unique_id, result.status) for result in report.results}


def test_build_prints_nothing(house: Settings, capfd: pytest.CaptureFixture[str]) -> None:
    run_build(house, select=["rpt_sessions_by_country"])
    assert capfd.readouterr() == ("", "")


def test_build_works_in_the_home_it_is_given_whatever_the_environment_says(
    house: Settings, tmp_path: Path
) -> None:
    run_build(house, select=["rpt_sessions_by_country"])
    assert last_build(house)[0] == 2
    assert not (tmp_path / "not-the-home-of-this-test").exists()


def test_failed_test_is_named_with_its_file_and_what_it_said(house: Settings) -> None:
    houses.add_events(house, ONE_BROKEN_EVENT)
    report = run_build(house, select=["source:raw.session_events+"])
    assert not report.is_green
    assert last_build(house)[2] == "error"
    with pytest.raises(BuildError) as caught:
        report.require_green()
    said = str(caught.value)
    assert "source_not_null_raw_session_events_country" in said
    assert "models/staging/sessions/_sessions__sources.yml" in said
    assert "Got 1 result, configured to fail if != 0" in said
    assert "skipped because of them" in said
    assert "Traceback" not in said


def test_rows_of_raw_that_a_green_build_has_tested_are_not_tested_again(house: Settings) -> None:
    broken = houses.add_events(house, ONE_BROKEN_EVENT)
    events = ["source:raw.session_events"]
    assert not run_build(house, select=events, tested_load=broken - 1).is_green
    assert run_build(house, select=events, tested_load=broken).is_green
    assert not run_build(house, select=events).is_green


def test_broken_model_is_named_with_its_file_and_the_error(editable_house: Settings) -> None:
    include_unit_tests(editable_house.project)
    model = editable_house.project / "models" / "marts" / "sessions" / "rpt_sessions_by_country.sql"
    model.write_text("select no_such_column from {{ ref('int_sessions__country_days') }}")
    report = run_build(editable_house, select=["rpt_sessions_by_country"])
    with pytest.raises(BuildError, match=r"unit test .*yml.*Binder Error: .*no_such_column"):
        report.require_green()
    with pytest.raises(BuildError, match=r"model rpt_sessions_by_country \(models/marts.*Binder"):
        run_build(
            editable_house,
            select=["rpt_sessions_by_country"],
            exclude=["resource_type:unit_test"],
        ).require_green()


def test_differences_that_a_unit_test_finds_are_told_whole(editable_house: Settings) -> None:
    include_unit_tests(editable_house.project)
    folder = editable_house.project / "models" / "marts" / "sessions"
    (folder / "numbers.sql").write_text("select 1 as found, 'same' as other")
    (folder / "numbers.yml").write_text(
        "unit_tests: [{name: two, model: numbers, given: [], "
        "expect: {rows: [{found: 2, other: same}]}}]\n"
    )
    with pytest.raises(BuildError) as raised:
        run_build(editable_house, select=["numbers"]).require_green()
    said = raised.value.message
    assert "numbers.yml" in said and "actual differs from expected" in said and ",2→1" in said


def test_project_that_does_not_parse_says_where(editable_house: Settings) -> None:
    model = editable_house.project / "models" / "marts" / "sessions" / "rpt_sessions_by_country.sql"
    model.write_text("select * from {{ ref('no_such_model') }}")
    with pytest.raises(BuildError, match=r"rpt_sessions_by_country.*no_such_model"):
        run_build(editable_house)
    assert last_build(editable_house)[0] == 1, "nothing was built, so nothing is noted"


def test_selection_that_matches_nothing_is_refused(house: Settings) -> None:
    with pytest.raises(UsageError, match="no_such_model"):
        run_build(house, select=["no_such_model"])


def test_builds_from_one_manifest_do_what_builds_from_none_do(house: Settings) -> None:
    manifest = prepare_manifest(house)
    for number in (100, 101):
        houses.add_events(house, houses.sessions([number]))
        report = run_build(house, select=["fct_sessions+"], manifest=manifest)
        report.require_green()
        assert last_build(house)[0] == report.build_id
    numbers = houses.lake_rows(house, "select count(*) from lake.marts.fct_sessions")
    assert numbers == [(62,)]
    houses.execute(house, "delete from lake.marts.fct_sessions")
    run_build(house, select=["fct_sessions"], manifest=manifest)
    assert houses.lake_rows(house, "select count(*) from lake.marts.fct_sessions") == [(0,)]
    run_build(house, select=["fct_sessions"], manifest=manifest, full_refresh=True)
    assert houses.lake_rows(house, "select count(*) from lake.marts.fct_sessions") == [(62,)]


def test_builds_leave_no_tables_behind_in_the_catalogue(house: Settings) -> None:
    run_build(house).require_green()
    tables = "select count(*) from duckdb_tables() where database_name = '__ducklake_metadata_lake'"
    before = houses.lake_rows(house, tables)
    run_build(house).require_green()
    assert houses.lake_rows(house, tables) == before


def test_warm_build_after_another_ones_build_knows_its_own_project(
    editable_house: Settings,
) -> None:
    manifest = prepare_manifest(editable_house)
    run_build(editable_house, select=["dim_players"], manifest=manifest).require_green()
    extra = editable_house.project / "models" / "marts" / "sessions" / "rpt_more.sql"
    extra.write_text("{{ config(contract={'enforced': false}) }} select 1 as one")
    run_build(editable_house, select=["rpt_more"]).require_green()
    known = "select count(*) from lake.meta.nodes where name = 'rpt_more'"
    assert houses.lake_rows(editable_house, known) == [(1,)]
    run_build(editable_house, select=["dim_players"], manifest=manifest).require_green()
    assert houses.lake_rows(editable_house, known) == [(0,)]


def test_green_build_leaves_nothing_in_the_way(house: Settings) -> None:
    assert blockers(house) == []


def test_lake_without_a_build_is_blocked(settings: Settings) -> None:
    houses.add_events(settings, houses.sessions([1]))
    assert blockers(settings) == [Blocker("Nothing has been built yet.")]


def test_failed_and_skipped_nodes_block(house: Settings) -> None:
    houses.add_events(house, ONE_BROKEN_EVENT)
    run_build(house, select=["source:raw.session_events+"])
    found = {blocker.node: blocker for blocker in blockers(house)}
    failed = found["source_not_null_raw_session_events_country"]
    assert failed.reason.startswith("fail in build 2: Got 1 result")
    assert failed.path == "models/staging/sessions/_sessions__sources.yml"
    assert "skipped" in found["fct_sessions"].reason
    assert not any("purchase" in name for name in found)


def test_node_that_never_ran_blocks(editable_house: Settings) -> None:
    test = editable_house.project / "tests" / "data" / "assert_nothing.sql"
    test.write_text("select * from {{ ref('fct_purchases') }} where false")
    run_build(editable_house, select=["dim_players"]).require_green()
    (blocker,) = blockers(editable_house)
    assert (blocker.node, blocker.reason) == ("assert_nothing", "it was never run")
    assert blocker.path == "tests/data/assert_nothing.sql"


def test_node_that_is_disabled_or_gone_does_not_block(editable_house: Settings) -> None:
    folder = editable_house.project / "models" / "marts" / "sessions"
    (folder / "rpt_more.sql").write_text("select no_such_column")
    run_build(editable_house, select=["rpt_more"])
    assert [blocker.node for blocker in blockers(editable_house)] == ["rpt_more"]
    (folder / "rpt_more.sql").write_text("{{ config(enabled=false) }} select no_such_column")
    run_build(editable_house, select=["dim_players"]).require_green()
    assert blockers(editable_house) == []


def test_model_made_anew_blocks_until_its_tests_have_passed_again(house: Settings) -> None:
    run_build(house, select=["dim_players"], exclude=["resource_type:test"]).require_green()
    found = blockers(house)
    assert {blocker.node for blocker in found} >= {"unique_dim_players_player_id"}
    assert all("was made anew in build 2" in blocker.reason for blocker in found)
    run_build(house, select=["dim_players"]).require_green()
    assert blockers(house) == []


def test_dbt_typed_by_hand_counts_as_a_build(house: Settings) -> None:
    events = ("--select", "source:raw.session_events+")
    houses.add_events(house, ONE_BROKEN_EVENT)
    assert houses.dbt(house, "build", *events).returncode == 1
    assert last_build(house) == (2, "dbt build", "error")
    assert blockers(house)
    houses.execute(house, "delete from lake.raw.session_events where _load_id = 4")
    houses.execute(house, "delete from lake.meta.loads where load_id = 4")
    assert houses.dbt(house, "build", *events).returncode == 0
    assert blockers(house) == []


def test_dbt_run_by_hand_blocks_until_dbt_test(house: Settings) -> None:
    assert houses.dbt(house, "run", "--select", "dim_players").returncode == 0
    assert blockers(house)
    assert houses.dbt(house, "test", "--select", "dim_players").returncode == 0
    assert blockers(house) == []


def test_models_built_without_rows_block(house: Settings) -> None:
    assert houses.dbt(house, "build", "--empty", "--select", "dim_players").returncode == 0
    assert {blocker.node for blocker in blockers(house)} >= {"dim_players"}
    assert "lacks rows" in str(blockers(house))


def test_dbt_that_would_hide_its_nodes_is_refused(house: Settings) -> None:
    assert houses.dbt(house, "parse").returncode == 0  # an old manifest lies there
    done = houses.dbt(house, "--no-write-json", "run", "--select", "dim_players")
    assert done.returncode != 0
    assert "--no-write-json" in done.stdout
    assert blockers(house) == []


def test_build_that_cannot_be_noted_changes_nothing(editable_house: Settings) -> None:
    macro = editable_house.project / "macros" / "builds" / "record_build.sql"
    macro.write_text(macro.read_text().replace("insert into lake.meta.builds ", "insert into no."))
    houses.add_events(editable_house, houses.sessions([100]))
    with pytest.raises(BuildError, match="could not note the build"):
        run_build(editable_house)
    count = "select count(*) from lake.marts.fct_sessions"
    assert houses.lake_rows(editable_house, count) == [(60,)]


def test_ctrl_c_ends_without_a_traceback_and_blocks_until_the_next_green_build(
    editable_house: Settings,
) -> None:
    add_slow_model(editable_house)
    code = (
        "import sys\n"
        "from boathouse.build import run_build\n"
        "try:\n"
        "    run_build(settings, select=['stg_sessions__slow', 'dim_players'])\n"
        "except KeyboardInterrupt:\n"
        "    sys.exit(130)\n"
    )
    process = houses.python(editable_house, code)
    wait_until_running(editable_house)
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 130
    assert "Traceback" not in output + errors
    assert last_build(editable_house)[2] == "interrupted"
    reasons = {blocker.node: blocker.reason for blocker in blockers(editable_house)}
    expected = "interrupted in build 2: the command ended before this was done"
    assert reasons["stg_sessions__slow"] == expected
    slow = editable_house.project / "models" / "staging" / "sessions" / "stg_sessions__slow.sql"
    slow.unlink()
    run_build(editable_house, select=["dim_players"]).require_green()
    assert blockers(editable_house) == []


def test_killed_build_blocks_what_it_was_going_to_run_whatever_else_is_built_since(
    editable_house: Settings,
) -> None:
    add_slow_model(editable_house)
    process = houses.python(
        editable_house,
        "from boathouse.build import run_build\n"
        "run_build(settings, select=['stg_sessions__slow', 'dim_players'])",
    )
    wait_until_running(editable_house)
    process.kill()
    process.communicate()
    slow = editable_house.project / "models" / "staging" / "sessions" / "stg_sessions__slow.sql"
    slow.unlink()
    run_build(editable_house, select=["fct_purchases+"]).require_green()
    found = blockers(editable_house)
    assert "dim_players" in {blocker.node for blocker in found}
    assert all(
        re.match("build 2, which was going to run it, did not finish", blocker.reason)
        for blocker in found
    )
    run_build(editable_house, select=["dim_players"]).require_green()
    assert blockers(editable_house) == []
