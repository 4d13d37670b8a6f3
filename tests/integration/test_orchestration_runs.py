"""Dagster's jobs for real, on a home of their own: what they show, and what happens when it breaks.

One house is materialized once; each test has a copy of it, and an instance of Dagster in memory.
"""

import json
import signal
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import houses
import pytest
from dagster import (
    AssetCheckKey,
    AssetCheckSeverity,
    AssetKey,
    DagsterInstance,
    DagsterRunStatus,
    Definitions,
    ExecuteInProcessResult,
    RunConfig,
    SensorResult,
    build_sensor_context,
)
from support.command import PATIENCE_SECONDS
from support.homes import clone, copy_project, include_unit_tests

from boathouse.release import current_release
from boathouse.settings import Settings
from orchestration import running
from orchestration.alerting import alert_of
from orchestration.definitions import build_definitions
from orchestration.project import load_project
from orchestration.releasing import ReleaseConfig, RollbackConfig
from orchestration.upkeep import forget_runs

HEADER = "PurchaseID,product,user,date\n"
CURSED = "select purchase_id from {{ ref('fct_purchases') }} where product_id = 666"
RAW = AssetKey(["raw", "purchases"])
BY_DAY = AssetKey(["raw", "purchases_by_day"])
RELEASE = AssetKey("release")
CHANGES = AssetKey(["intermediate", "int_purchases__changes"])
SUCCEEDED, FAILED = DagsterRunStatus.SUCCESS, DagsterRunStatus.FAILURE
FACT = AssetKey(["marts", "fct_purchase_versions"])


def snapshot(settings: Settings, day: str, *rows: str) -> None:
    text = HEADER + "".join(f"{row}\n" for row in rows)
    houses.put(settings, "purchases", f"purchases_{day}.csv", text.encode())


def event(number: int) -> str:
    at = f"2026-03-01 10:00:{number:02}"
    return json.dumps(
        {"event": "start", "country": "PK", "player_id": "p1", "session_id": f"s{number}", "ts": at}
    )


class Dagster:
    """The definitions of a project and an instance, as one process has them."""

    def __init__(self, settings: Settings, instance: DagsterInstance) -> None:
        self.settings = settings
        self.instance = instance
        self.definitions: Definitions = build_definitions(load_project(settings))

    def run(self, job: str, *, succeeds: bool = True, **more: Any) -> ExecuteInProcessResult:
        definition = self.definitions.resolve_job_def(job)
        done = definition.execute_in_process(instance=self.instance, raise_on_error=False, **more)
        failures = [each.event_specific_data for each in done.get_step_failure_events()]
        assert done.success == succeeds, failures
        return done

    def deliver(self, *, succeeds: bool = True) -> ExecuteInProcessResult:
        """Let the sensor look, and run what it asks for."""
        ((request),) = self.tick().run_requests
        return self.run("deliveries", succeeds=succeeds, asset_selection=request.asset_selection)

    def metadata(self, key: AssetKey) -> dict[str, Any]:
        """Return the metadata of an asset's newest materialization."""
        found = self.instance.get_latest_materialization_event(key)
        assert found is not None and found.asset_materialization is not None
        return {name: each.value for name, each in found.asset_materialization.metadata.items()}

    def tick(self, cursor: str | None = None) -> Any:
        """Let the sensor look once; it asks for a run, or says why not."""
        repository = self.definitions.get_repository_def()
        context = build_sensor_context(
            self.instance, cursor=cursor, sensor_name="landing", repository_def=repository
        )
        return repository.get_sensor_def("landing")(context)


def checks(done: ExecuteInProcessResult) -> dict[AssetCheckKey, Any]:
    return {each.asset_check_key: each for each in done.get_asset_check_evaluations()}


@pytest.fixture(scope="session")
def first(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Return a house in which everything was materialized once, and what that came to."""
    folder = tmp_path_factory.mktemp("dagster")
    settings = Settings(
        project=copy_project(folder / "project", ("sessions", "purchases")),
        home=folder / "data",
        settle_seconds=0,
    )
    include_unit_tests(settings.project)
    (settings.project / "tests/data/purchases/assert_no_cursed_product.sql").write_text(CURSED)
    events = "\n".join(map(event, range(20))).encode()
    houses.put(settings, "session_events", "session_events_1.jsonl", events)
    for day in range(1, 7):
        snapshot(settings, f"2026-03-0{day}", f"1,{day},5,2026-02-01", "2,7,6,2026-02-01")
    instance = DagsterInstance.ephemeral()
    dagster = Dagster(settings, instance)
    done = dagster.run("everything")
    return SimpleNamespace(dagster=dagster, done=done, settings=settings)


@pytest.fixture
def dagster(first: Any, tmp_path: Path) -> Iterator[Dagster]:
    with DagsterInstance.ephemeral() as instance:
        yield Dagster(clone(first.settings, tmp_path / "data"), instance)


def editable(folder: Path) -> Path:
    """Give the house a project of its own, and return its folder."""
    project = copy_project(folder / "project", ("sessions", "purchases"))
    include_unit_tests(project)
    return project


def released(settings: Settings) -> tuple[int, int]:
    """Return which release readers see, and how many purchases are in it."""
    info = current_release(settings)
    assert info is not None
    ((count,),) = houses.released_rows(settings, "select count(*) from marts.fct_purchases")
    return info.release_id, count


# -- what is shown -------------------------------------------------------------------------


def test_everything_is_loaded_built_checked_and_released_in_one_run(first: Any) -> None:
    made = {each.asset_key for each in first.done.get_asset_materialization_events()}
    graph = first.dagster.definitions.get_repository_def().asset_graph
    assert made - {BY_DAY} == graph.materializable_asset_keys
    assert released(first.settings) == (1, 2)
    evaluated = checks(first.done)
    assert set(evaluated) == set(graph.asset_check_keys)
    stale = {key.name for key, each in evaluated.items() if not each.passed}
    assert stale <= {"fresh"}


def test_lineage_of_assets_joins_sources_models_and_the_release(first: Any) -> None:
    graph = first.dagster.definitions.get_repository_def().asset_graph
    staging = AssetKey(["staging", "stg_purchases__purchases"])
    assert graph.get(staging).parent_keys == {RAW}
    marts = {key for key in graph.get_all_asset_keys() if key.path[0] == "marts"}
    assert graph.get(RELEASE).parent_keys == marts
    groups = {graph.get(key).group_name for key in graph.get_all_asset_keys()}
    assert groups == {"sessions", "purchases", "release"}


def test_materialization_of_a_source_tells_files_rows_rejects_seconds_and_snapshot(
    first: Any,
) -> None:
    told = first.dagster.metadata(RAW)
    assert (told["rows loaded"], told["rows rejected"], told["files loaded"]) == (12, 0, 6)
    assert "purchases_2026-03-06.csv" in told["file names"]
    assert told["dagster/row_count"] == 12
    assert told["lake snapshot"] > 0 and told["seconds"] > 0


def test_materialization_of_a_model_tells_rows_columns_lineage_seconds_and_snapshot(
    first: Any,
) -> None:
    told = first.dagster.metadata(FACT)
    query = "select count(*) from lake.marts.fct_purchase_versions"
    assert [(told["dagster/row_count"],)] == houses.lake_rows(first.settings, query)
    columns = {column.name: column for column in told["dagster/column_schema"].columns}
    assert columns["purchase_id"].type == "bigint" and columns["purchase_id"].description
    deps = told["dagster/column_lineage"].deps_by_column["product_id"]
    assert {dep.column_name for dep in deps} == {"product_id"}
    assert told["lake snapshot"] > 0 and told["seconds"] > 0
    assert told["unit tests"].split()[0] == told["unit tests"].split()[2] != "0"


def test_every_model_that_reads_something_has_column_lineage(first: Any) -> None:
    made = first.done.get_asset_materialization_events()
    without = {
        each.asset_key.path[-1]
        for each in made
        if each.asset_key.path[0] in ("staging", "intermediate", "marts", "snapshots")
        and "dagster/column_lineage" not in each.materialization.metadata
    }
    assert without == set()


def test_loaded_days_are_shown_as_partitions(first: Any, dagster: Dagster) -> None:
    days = first.dagster.instance.get_materialized_partitions(BY_DAY)
    assert days == {f"2026-03-0{day}" for day in range(1, 7)}
    assets = dagster.definitions.get_repository_def().asset_graph
    assert days <= set(assets.get(BY_DAY).partitions_def.get_partition_keys())


# -- what goes wrong -----------------------------------------------------------------------


def test_bad_file_is_set_aside_warned_of_and_replayed_after_a_fix(dagster: Dagster) -> None:
    rows = [f"{number},2,5,2026-02-01" for number in range(1, 101)]
    snapshot(dagster.settings, "2026-03-07", *rows)
    bad = b"nothing,like,it\n1,2,3\n"
    houses.put(dagster.settings, "purchases", "purchases_2026-03-08.csv", bad)
    done = dagster.deliver()
    warned = {key.name: each for key, each in checks(done).items() if not each.passed}
    assert set(warned) == {"few_rejects", "usual_size"}
    assert all(each.severity == AssetCheckSeverity.WARN for each in warned.values())
    assert "100 rows in a file" in (warned["usual_size"].description or "")
    assert dagster.metadata(RAW)["files rejected"] == 1
    assert released(dagster.settings) == (2, 100)
    alert = alert_of(dagster.instance, done.dagster_run, SUCCEEDED, dagster.settings)
    assert alert is not None and "raw/purchases.few_rejects" in alert.where
    rejected = dagster.settings.rejected / "purchases/purchases_2026-03-08.csv"
    rejected.write_text(f"{HEADER}1,2,5,2026-02-01\n")
    dagster.run("replay_quarantine")
    assert released(dagster.settings)[1] == 1


def test_load_that_does_not_add_up_blocks_the_release(dagster: Dagster, monkeypatch: Any) -> None:
    from boathouse.ingest import writer

    insert = writer.insert_rows

    def lose_a_row(con: Any, batch: Any, *rest: Any) -> None:
        insert(con, batch, *rest)
        con.execute(
            "delete from lake.raw.purchases where _row = 1 and _load_id = 1 + ("
            "select max(load_id) from lake.meta.loads)"
        )

    monkeypatch.setattr(writer, "insert_rows", lose_a_row)
    snapshot(dagster.settings, "2026-03-07", "1,2,5,2026-02-01", "3,7,6,2026-02-01")
    done = dagster.deliver(succeeds=False)
    assert not checks(done)[AssetCheckKey(RAW, "adds_up")].passed
    assert released(dagster.settings) == (1, 2)


def test_mart_that_lost_its_rows_fails_the_release_until_it_is_allowed(dagster: Dagster) -> None:
    many = [f"{number},2,5,2026-02-01" for number in range(1, 21)]
    snapshot(dagster.settings, "2026-03-07", *many)
    dagster.deliver()
    houses.execute(dagster.settings, "delete from lake.marts.fct_purchase_versions")
    for _ in range(2):
        done = dagster.run("everything", asset_selection=[RELEASE], succeeds=False)
        (failure,) = done.get_step_failure_events()
        assert failure.step_key == RELEASE.to_python_identifier()
        told = str(failure.step_failure_data.error)
        assert "fct_purchase_versions" in told and "held back" in told
        assert released(dagster.settings) == (2, 20)
    allowed = RunConfig(ops={RELEASE.to_python_identifier(): ReleaseConfig(allow_shrink=True)})
    dagster.run("everything", asset_selection=[RELEASE], run_config=allowed)
    assert released(dagster.settings) == (3, 20)


def test_failing_data_test_keeps_the_old_release_and_is_not_tried_again(dagster: Dagster) -> None:
    snapshot(dagster.settings, "2026-03-07", "1,666,5,2026-02-01")
    done = dagster.deliver(succeeds=False)
    key = AssetCheckKey(AssetKey(["marts", "fct_purchases"]), "assert_no_cursed_product")
    check = checks(done)[key]
    assert not check.passed and check.severity == AssetCheckSeverity.ERROR
    assert released(dagster.settings) == (1, 2)
    assert RELEASE not in {each.asset_key for each in done.get_asset_materialization_events()}
    assert not [each for each in done.all_events if each.is_step_up_for_retry]
    begun = done.dagster_run.with_status(DagsterRunStatus.STARTED)  # as it may still be seen
    alert = alert_of(dagster.instance, begun, FAILED, dagster.settings)
    assert alert is not None and alert.rows == 1 and alert.title.endswith("deliveries failed")
    assert "marts/fct_purchases.assert_no_cursed_product" in alert.where
    dagster.run("everything", succeeds=False, asset_selection=[RELEASE])
    assert released(dagster.settings) == (1, 2)
    snapshot(dagster.settings, "2026-03-08", "1,12,5,2026-02-01")
    dagster.deliver()
    assert released(dagster.settings) == (2, 1)


def test_damaged_catalogue_leaves_the_definitions_and_is_told_by_the_run(dagster: Dagster) -> None:
    keys = dagster.definitions.resolve_asset_graph().get_all_asset_keys()
    days = dagster.definitions.resolve_asset_graph().get(BY_DAY).partitions_def
    catalog = dagster.settings.catalog_file
    assert catalog is not None
    catalog.write_bytes(b"no database" * 1000)
    again = Dagster(dagster.settings, dagster.instance)
    assert again.definitions.resolve_asset_graph().get_all_asset_keys() == keys
    assert again.definitions.resolve_asset_graph().get(BY_DAY).partitions_def == days
    snapshot(dagster.settings, "2026-03-07", "1,2,5,2026-02-01")
    done = again.deliver(succeeds=False)
    alert = alert_of(again.instance, done.dagster_run, FAILED, again.settings)
    assert alert is not None and "damaged" in alert.what


def test_bad_contract_fails_at_once(dagster: Dagster, tmp_path: Path) -> None:
    project = editable(tmp_path)
    changed = Dagster(dagster.settings.model_copy(update={"project": project}), dagster.instance)
    sources = project / "models/staging/purchases/_purchases__sources.yml"
    sources.write_text(sources.read_text().replace("data_type: bigint", "data_type: boolean"))
    dagster = Dagster(changed.settings, dagster.instance)
    done = dagster.run("everything", succeeds=False)
    assert not [each for each in done.all_events if each.is_step_up_for_retry]
    told = [each.event_specific_data for each in done.get_step_failure_events()]
    assert any("bigint" in str(each.user_failure_data) for each in told)


def test_busy_lake_is_tried_again(dagster: Dagster, monkeypatch: Any) -> None:
    monkeypatch.setattr(running, "FIRST_PAUSE_SECONDS", 1)
    impatient = dagster.settings.model_copy(update={"lock_timeout": 0.1})
    dagster = Dagster(impatient, dagster.instance)
    code = "from boathouse import lock\nlock.keep(settings, 'a test')\nprint('held', flush=True)\n"
    writer = houses.python(impatient, f"{code}import time\ntime.sleep(600)")
    try:
        assert writer.stdout is not None and writer.stdout.readline() == "held\n"
        ask = running.RetryRequested

        def let_go(*arguments: Any, **named: Any) -> Any:
            writer.kill()
            writer.wait()
            return ask(*arguments, **named)

        monkeypatch.setattr(running, "RetryRequested", let_go)
        done = dagster.run("everything", asset_selection=[RAW])
    finally:
        writer.kill()
        writer.communicate()
    assert [each for each in done.all_events if each.is_step_up_for_retry]


RUN_WHAT_ARRIVED = """
from dagster import AssetKey, DagsterInstance
from orchestration.definitions import build_definitions
from orchestration.project import load_project
job = build_definitions(load_project(settings)).resolve_job_def("deliveries")
keys = [AssetKey(path.split("/")) for path in {paths}]
job.execute_in_process(instance=DagsterInstance.ephemeral(), asset_selection=keys)
"""


def test_killed_run_is_mended_by_the_next(dagster: Dagster) -> None:
    snapshot(dagster.settings, "2026-03-07", "1,2,5,2026-02-01")
    ((request),) = dagster.tick().run_requests
    paths = [key.to_user_string() for key in request.asset_selection]
    code = RUN_WHAT_ARRIVED.replace("{paths}", repr(paths))
    process = houses.python(dagster.settings, code, BOATHOUSE_KILL_AT="release:mart-written")
    _, errors = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == -signal.SIGKILL, errors
    assert released(dagster.settings) == (1, 2)
    dagster.run("everything", asset_selection=request.asset_selection)
    assert released(dagster.settings) == (2, 1)
    days = "select count(*), count(distinct snapshot_date) from lake.raw.purchases"
    assert houses.lake_rows(dagster.settings, days) == [(13, 7)]


# -- the other jobs ------------------------------------------------------------------------


def test_full_refresh_makes_incremental_models_anew(dagster: Dagster) -> None:
    dagster.run("full_refresh", asset_selection=[CHANGES])
    told = houses.lake_rows(
        dagster.settings,
        "select rebuilt_snapshot >= (select max(lake_snapshot) from lake.meta.releases) "
        "from lake.meta.model_state where ends_with(model, 'int_purchases__changes')",
    )
    assert told == [(True,)]


def test_rollback_shows_the_release_before_and_jobs_keep_it(dagster: Dagster) -> None:
    snapshot(dagster.settings, "2026-03-07", "1,2,5,2026-02-01")
    dagster.deliver()
    assert released(dagster.settings) == (2, 1)
    dagster.run("roll_back", run_config=RunConfig(ops={"show_release": RollbackConfig()}))
    assert released(dagster.settings) == (1, 2)
    dagster.run("everything", asset_selection=[RELEASE])
    assert released(dagster.settings) == (1, 2)


def test_corrected_day_is_loaded_again_alone(dagster: Dagster) -> None:
    snapshot(dagster.settings, "2026-03-06", "1,99,5,2026-02-01")
    snapshot(dagster.settings, "2026-03-07", "1,98,5,2026-02-01")
    may_shrink = {"ops": {"release_after_purchases": {"config": {"allow_shrink": True}}}}
    dagster.run("load_purchases_day", partition_key="2026-03-06", run_config=may_shrink)
    rows = "select product from lake.raw.purchases where snapshot_date = '2026-03-06'"
    assert houses.lake_rows(dagster.settings, rows) == [(99,)]
    assert released(dagster.settings) == (2, 1)
    waiting = [path.name for path in (dagster.settings.landing_folder / "purchases").iterdir()]
    assert waiting == ["purchases_2026-03-07.csv"]
    assert "2026-03-06" in dagster.instance.get_materialized_partitions(BY_DAY)


def test_lost_day_is_loaded_again_from_the_archive(dagster: Dagster) -> None:
    houses.execute(
        dagster.settings, "delete from lake.raw.purchases where snapshot_date = '2026-03-06'"
    )
    dagster.run("load_purchases_day", partition_key="2026-03-06")
    rows = "select count(*) from lake.raw.purchases where snapshot_date = '2026-03-06'"
    assert houses.lake_rows(dagster.settings, rows) == [(2,)]


def test_day_that_was_never_delivered_is_told(dagster: Dagster) -> None:
    done = dagster.run("load_purchases_day", partition_key="2026-03-09", succeeds=False)
    (failure,) = done.get_step_failure_events()
    assert "2026-03-09, neither in landing nor in the archive" in str(
        failure.step_failure_data.user_failure_data
    )


def test_maintenance_runs_and_forgets_old_runs_but_those_that_show_the_newest(
    dagster: Dagster,
) -> None:
    for _ in range(2):
        dagster.run("everything", asset_selection=[RELEASE])
    dagster.run("maintenance")
    later = datetime.now(UTC) + timedelta(days=1)
    forgotten = forget_runs(dagster.instance, later, dagster.settings.home_folder)
    assert forgotten == 2, "the older run of the release, and maintenance itself"
    assert dagster.metadata(RELEASE)["release"] == 1


# -- the sensor ----------------------------------------------------------------------------


def test_all_files_waiting_become_one_run_that_makes_only_what_they_touch(
    dagster: Dagster,
) -> None:
    snapshot(dagster.settings, "2026-03-07", "1,2,5,2026-02-01")
    snapshot(dagster.settings, "2026-03-08", "1,3,5,2026-02-01")
    told = dagster.tick()
    assert isinstance(told, SensorResult) and told.run_requests is not None
    (request,) = told.run_requests
    paths = {key.to_user_string() for key in request.asset_selection or []}
    assert {"raw/purchases", "marts/fct_purchases", "release"} <= paths
    assert not [path for path in paths if "session" in path or path.endswith("by_day")]
    done = dagster.run("deliveries", asset_selection=request.asset_selection)
    assert released(dagster.settings) == (2, 1)
    built = {each.asset_key.to_user_string() for each in done.get_asset_materialization_events()}
    assert built - {"raw/purchases_by_day"} == paths
    kinds = houses.lake_rows(
        dagster.settings,
        "select distinct kind from lake.meta.build_results "
        "where build_id = (select max(build_id) from lake.meta.builds)",
    )
    assert ("unit_test",) not in kinds and ("test",) in kinds


def test_files_of_a_failed_run_are_asked_for_again_but_not_at_once(dagster: Dagster) -> None:
    snapshot(dagster.settings, "2026-03-07", "1,2,5,2026-02-01")
    asked = dagster.tick()
    again = dagster.tick(asked.cursor)
    assert "wait for a retry" in str(again.skip_message)
    state = json.loads(asked.cursor)
    later = dagster.tick(json.dumps({**state, "at": time.time() - 3600}))
    assert later.run_requests[0].run_key != asked.run_requests[0].run_key


def test_file_that_is_being_written_is_left_alone(dagster: Dagster, monkeypatch: Any) -> None:
    from orchestration import landing

    monkeypatch.setattr(landing, "WATCH_SECONDS", 0.0)
    houses.put(dagster.settings, "purchases", "purchases_2026-03-07.csv.part", b"x")
    assert "Nothing waits" in str(dagster.tick().skip_message)


def test_landing_store_that_does_not_answer_is_told_and_holds_back_nothing_that_is_here(
    dagster: Dagster, monkeypatch: Any
) -> None:
    monkeypatch.setattr(running, "FIRST_PAUSE_SECONDS", 0.01)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    silent = {"landing": "s3://boats/landing", "s3_endpoint": "http://127.0.0.1:1"}
    dagster = Dagster(dagster.settings.model_copy(update=silent), dagster.instance)
    with pytest.raises(Exception, match="s3://boats/landing does not answer"):
        dagster.tick()
    done = dagster.run("deliveries", succeeds=False, asset_selection=[RAW])
    (failure,) = done.get_step_failure_events()
    assert "does not answer" in str(failure.event_specific_data)
    snapshot(dagster.settings, "2026-03-07", "1,9,5,2026-02-01", "3,7,6,2026-02-01")
    dagster.deliver()
    assert released(dagster.settings) == (2, 2)
