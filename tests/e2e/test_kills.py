"""A main job that is killed at any instant, run again, leaves what an undisturbed one leaves."""

import random
import signal
import time
from typing import Any

import duckdb
import pytest
from support.command import House
from support.homes import REPOSITORY
from support.prepared import Prepared

CHECKPOINTS = ("run:loaded", "run:built", "release:mart-written")
DELIVERIES = {
    "purchases_2026-03-11.csv": "PurchaseID,product,user,date\n900001,7,8,2026-03-01\n1,,,\n",
    "purchases_2026-03-12.csv": "PurchaseID,product,user,date\n900001,7,9,2026-03-01\n",
    "purchases_2026-03-13.csv": "PurchaseID,product\n900001,7\n",
}


def deliver(house: House) -> None:
    for name, content in DELIVERIES.items():
        house.drop("purchases", name, content)


def picture(house: House) -> dict[str, Any]:
    """Return all that must be equal: marts in lake and release, ledger, files; without times."""
    tables = house.in_lake(
        "select table_name, list(column_name order by column_index) from duckdb_columns() "
        "where database_name = 'lake' and schema_name = 'marts' "
        "and not ends_with(column_name, 'loaded_at') and not starts_with(column_name, 'dbt_') "
        "group by table_name order by table_name"
    )
    queries = {
        name: f"select {', '.join(columns)} from marts.{name} order by all"
        for name, columns in tables
    }
    folders = ("landing", "archive", "rejected")
    return {
        "lake": {
            name: house.in_lake(q.replace("marts.", "lake.marts.")) for name, q in queries.items()
        },
        "release": {name: house.released(query) for name, query in queries.items()},
        "loads": house.in_lake("select * exclude (loaded_at) from lake.meta.loads order by all"),
        "files": sorted(
            path.relative_to(house.home).as_posix()
            for folder in folders
            for path in (house.home / folder).rglob("*")
            if path.is_file()
        ),
        "releases": len(house.json("releases")),
        "work": [path for path in (house.home / "work").rglob("*") if path.is_file()],
    }


@pytest.fixture(scope="module")
def undisturbed(prepared: Prepared, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    house = prepared.house.clone(tmp_path_factory.mktemp("undisturbed") / "home")
    deliver(house)
    house.boathouse("run")
    return picture(house)


def require_next_run_mends(house: House, undisturbed: dict[str, Any]) -> None:
    """Check that readers and the next run find nothing broken."""
    with duckdb.connect(str(house.settings.warehouse), read_only=True) as reader:
        (count,) = reader.execute("select count(*) from marts.fct_purchase_versions").fetchall()[0]
        assert count > 0
    house.boathouse("run")
    assert picture(house) == undisturbed


@pytest.mark.parametrize("checkpoint", CHECKPOINTS)
def test_run_killed_at_a_step_is_finished_by_the_next(
    house: House, undisturbed: dict[str, Any], checkpoint: str
) -> None:
    deliver(house)
    house.boathouse("run", code=-signal.SIGKILL, BOATHOUSE_KILL_AT=checkpoint)
    require_next_run_mends(house, undisturbed)


@pytest.mark.parametrize("seed", range(1))
def test_run_killed_at_a_random_instant_is_finished_by_the_next(
    house: House, undisturbed: dict[str, Any], seed: int
) -> None:
    deliver(house)
    with house.started("run") as process:
        house.wait_for_writer(process, "boathouse run")
        time.sleep(random.Random(seed).uniform(0, 4))
        process.kill()
    require_next_run_mends(house, undisturbed)


def test_every_checkpoint_is_one(prepared: Prepared) -> None:
    del prepared
    code = "".join(path.read_text() for path in (REPOSITORY / "boathouse").rglob("*.py"))
    assert all(f'reached("{checkpoint}")' in code for checkpoint in CHECKPOINTS)
