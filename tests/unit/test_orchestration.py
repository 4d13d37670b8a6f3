"""How dbt's nodes are named in Dagster, when a run is asked for, and what it is asked to make."""

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from dagster import AssetCheckKey, AssetKey, DagsterInstance, OpExecutionContext, job, op

from orchestration.instance import configuration
from orchestration.landing import FIRST_PAUSE_SECONDS, Asked
from orchestration.lineage import column_origins
from orchestration.marts import selection
from orchestration.translator import (
    Translator,
    age_limit,
    check_description,
    check_name,
    domain_of,
    shown_at,
)
from orchestration.upkeep import forget_runs


def node(path: str, kind: str = "model", **more: Any) -> dict[str, Any]:
    return {"original_file_path": path, "resource_type": kind, "config": {}, **more}


def data_test(name: str, *, kind: str = "", column: str = "", at: str = "", **more: Any) -> Any:
    return {
        "unique_id": f"test.boathouse.{name}",
        "name": name,
        "resource_type": "test",
        "original_file_path": "tests/data/x.sql",
        "column_name": column or None,
        "attached_node": at or None,
        "test_metadata": {"name": kind, "kwargs": {"column_name": column}} if kind else None,
        "depends_on": {"nodes": [at] if at else []},
        "config": {"severity": "ERROR"},
        **more,
    }


# -- the translator ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "kind", "domain"),
    [
        ("models/staging/music/stg_music__songs.sql", "model", "music"),
        ("models/intermediate/telemetry/int_telemetry__level_days.sql", "model", "telemetry"),
        ("models/marts/fleet/fct_fleet_readings.sql", "model", "fleet"),
        ("models/staging/courier/_courier__sources.yml", "source", "courier"),
        ("seeds/students/seed_students__travel_times.csv", "seed", "students"),
        ("snapshots/snap_purchases.sql", "snapshot", "purchases"),
    ],
)
def test_group_of_every_kind_of_node_is_its_domain(path: str, kind: str, domain: str) -> None:
    assert domain_of(node(path, kind)) == domain
    assert Translator().get_group_name(node(path, kind)) == domain


def test_description_is_the_documentation_without_the_sql() -> None:
    described = node("models/x/y.sql", description=" One row per purchase. ", raw_code="select 1")
    assert Translator().get_description(described) == "One row per purchase."


def test_owner_is_the_one_in_dbt_and_nobody_without() -> None:
    owned = node("models/x/y.sql") | {"config": {"meta": {"owner": "team:data"}}}
    assert Translator().get_owners(owned) == ["team:data"]
    assert Translator().get_owners(node("models/x/y.sql")) == []


def test_generic_test_is_named_by_what_it_asks_for_and_the_column() -> None:
    at = "model.boathouse.fct_x"
    one = data_test("not_null_fct_x_player_id", kind="not_null", column="player_id", at=at)
    manifest = {"nodes": {one["unique_id"]: one}, "child_map": {at: [one["unique_id"]]}}
    assert check_name(manifest, one) == "not_null_player_id"
    assert check_description(one) == ("`player_id`: not_null. dbt test `not_null_fct_x_player_id`.")


def test_singular_test_is_described_by_its_header() -> None:
    sql = "-- A purchase is counted once;\n-- else revenue is too high.\nselect 1\n-- no more"
    described = check_description(data_test("assert_it", raw_code=sql))
    assert described == "A purchase is counted once; else revenue is too high."


def test_two_tests_that_would_have_one_name_keep_the_names_of_dbt() -> None:
    at = "model.boathouse.fct_x"
    names = ("accepted_range_fct_x_age__1", "accepted_range_fct_x_age__99")
    both = [data_test(name, kind="accepted_range", column="age", at=at) for name in names]
    manifest = {
        "nodes": {each["unique_id"]: each for each in both},
        "child_map": {at: [each["unique_id"] for each in both]},
    }
    assert tuple(check_name(manifest, each) for each in both) == names


def test_test_named_by_a_person_keeps_its_name() -> None:
    at = "model.boathouse.fct_x"
    own = data_test("ends_follow_starts", kind="satisfies", column="ended_at", at=at)
    manifest = {"nodes": {own["unique_id"]: own}, "child_map": {at: [own["unique_id"]]}}
    assert check_name(manifest, own) == "ends_follow_starts"


@pytest.mark.parametrize(
    ("nodes", "at"),
    [
        (("model.b.stg_x", "model.b.fct_x"), "model.b.fct_x"),
        (("model.b.fct_x", "model.b.rpt_x", "model.b.stg_x"), "model.b.rpt_x"),
        (("source.b.meta.loads", "model.b.stg_x"), "model.b.stg_x"),
        (("source.b.meta.loads", "source.b.raw.x"), "source.b.raw.x"),
    ],
)
def test_test_over_several_nodes_is_shown_at_the_last_mart(nodes: tuple[str, ...], at: str) -> None:
    assert shown_at(data_test("assert_it", depends_on={"nodes": list(nodes)})) == at


def test_age_limit_is_that_of_the_dbt_source() -> None:
    freshness = {"warn_after": {"count": 36, "period": "hour"}, "error_after": {"count": None}}
    source = node("models/x/_x__sources.yml", "source") | {"config": {"freshness": freshness}}
    limit = age_limit(source, "warn_after")
    assert limit is not None and limit.total_seconds() == 36 * 3600
    assert age_limit(source, "error_after") is None
    assert age_limit(node("models/x/_x__sources.yml", "source"), "warn_after") is None


# -- what dbt is told to build -------------------------------------------------------------

NAMES = {AssetKey(["marts", "fct_a"]): "fct_a", AssetKey(["marts", "fct_b"]): "fct_b"}


def test_everything_is_built_without_a_selection() -> None:
    assert selection(NAMES, list(NAMES), {}) == []


def test_part_is_built_by_name_with_the_tests_of_the_sources_that_were_loaded() -> None:
    key = AssetKey(["marts", "fct_a"])
    tests = {
        AssetCheckKey(key, "not_null_a"): "not_null_fct_a_a",
        AssetCheckKey(AssetKey(["raw", "a"]), "not_null_a"): "source_not_null_raw_a_a",
        AssetCheckKey(AssetKey(["raw", "a"]), "not_null_b"): "source_not_null_raw_a_b",
    }
    assert selection(NAMES, [key], tests) == ["fct_a", "source:raw.a"]


def test_checks_alone_are_run_by_the_names_of_their_tests() -> None:
    tests = {AssetCheckKey(AssetKey(["marts", "fct_a"]), "not_null_a"): "not_null_fct_a_a"}
    assert selection(NAMES, [], tests) == ["not_null_fct_a_a"]


# -- when the sensor asks ------------------------------------------------------------------


def test_new_files_are_asked_for_at_once() -> None:
    asked = Asked("old", attempts=3, at=1000.0).next("new", 1001.0)
    assert asked == Asked("new", 1, 1001.0)


def test_files_that_still_wait_after_a_run_are_tried_again_later_and_later() -> None:
    asked = Asked.read(None).next("files", 0.0)
    keys, times, now = [], [], 0.0
    while asked is not None and len(keys) < 4:
        keys.append(asked.run_key)
        times.append(asked.at)
        now = asked.at
        while (following := asked.next("files", now)) is None:
            now += 1
        asked = following
    assert len(set(keys)) == 4, "a run key that Dagster knows would be ignored"
    pauses = [later - earlier for earlier, later in pairwise(times)]
    assert pauses == [FIRST_PAUSE_SECONDS, 2 * FIRST_PAUSE_SECONDS, 4 * FIRST_PAUSE_SECONDS]


def test_pause_between_attempts_is_an_hour_at_most() -> None:
    asked = Asked("files", attempts=50, at=0.0)
    assert asked.next("files", 3599.0) is None
    assert asked.next("files", 3600.0) is not None


@pytest.mark.parametrize("cursor", ["", "nonsense", '{"unknown": 1}', "[]"])
def test_cursor_that_cannot_be_read_is_none(cursor: str) -> None:
    assert Asked.read(cursor) == Asked()


# -- what Dagster keeps --------------------------------------------------------------------


def test_forgotten_runs_give_back_what_they_took(tmp_path: Path) -> None:
    @op
    def talk(context: OpExecutionContext) -> None:
        for _ in range(200):
            context.log.info("x" * 1000)

    @job
    def talking() -> None:
        talk()

    def taken() -> int:
        return sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file())

    with DagsterInstance.local_temp(str(tmp_path)) as instance:
        talking.execute_in_process(instance=instance)
        forget_runs(instance, datetime.now(UTC) + timedelta(days=1), tmp_path)
        before = taken()
        for _ in range(3):
            talking.execute_in_process(instance=instance)
        assert taken() > before + 600_000
        assert forget_runs(instance, datetime.now(UTC) + timedelta(days=1), tmp_path) == 3
        assert taken() < before + 100_000


# -- column lineage ------------------------------------------------------------------------

COLUMNS = {
    ("staging", "stg_a"): {"id": "bigint", "amount": "double", "day": "date"},
    ("staging", "stg_b"): {"id": "bigint", "name": "varchar"},
}


def test_columns_are_followed_through_ctes_joins_and_aggregates() -> None:
    sql = """
        with a as (select * from "lake"."staging"."stg_a"),
        b as (select * from "lake"."staging"."stg_b"),
        joined as (select a.id, b.name, a.amount from a left join b on a.id = b.id)
        select id, any_value(name) as label, sum(amount) as total from joined group by id
    """
    assert column_origins(sql, COLUMNS) == {
        "id": {(("staging", "stg_a"), "id")},
        "label": {(("staging", "stg_b"), "name")},
        "total": {(("staging", "stg_a"), "amount")},
    }


def test_columns_beside_those_of_a_table_that_nobody_described_are_followed() -> None:
    sql = """
        with changes as (select * from "lake"."changes"."stg_a"),
        counted as (select id, sum(_change) as gained from changes group by id)
        select b.name, counted.gained from "lake"."staging"."stg_b" as b join counted using (id)
    """
    assert column_origins(sql, COLUMNS) == {
        "name": {(("staging", "stg_b"), "name")},
        "gained": set(),
    }


def test_sql_beyond_the_parser_has_no_lineage_and_fails_nothing() -> None:
    assert column_origins("select from from (", COLUMNS) == {}


# -- the instance --------------------------------------------------------------------------


def test_instance_sends_nothing_anywhere_and_lets_one_run_write_at_a_time() -> None:
    settings = configuration()
    assert settings["telemetry"] == {"enabled": False}
    assert settings["concurrency"]["pools"] == {"granularity": "run", "default_limit": 1}


# -- the process of a run ------------------------------------------------------------------


def test_runs_are_forked_from_a_process_that_has_nothing_of_the_project_but_the_list() -> None:
    code = "import sys, orchestration.warm; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    ours = [each for each in done.stdout.split() if each.startswith(("boathouse", "orchestration"))]
    assert ours == ["orchestration", "orchestration.warm"]
