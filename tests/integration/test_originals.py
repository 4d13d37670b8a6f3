"""Originals are carried off to an object store, and come back from there when they are needed."""

import shutil
import signal
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
from support.command import House
from support.object_store import BUCKET, Store

from boathouse.contracts import load_contracts
from boathouse.ingest import originals
from boathouse.ingest.days import load_days
from boathouse.ingest.loader import load
from orchestration.days import day_partitions
from orchestration.project import Project

PREFIX = "archive"
HEAD = "PurchaseID,product,user,date\n"
DAY_1 = f"{HEAD}1,12,31,2023-07-01\n2,13,32,2023-07-01\n"
DAY_2 = f"{HEAD}1,14,31,2023-07-02\n2,no number,32,2023-07-01\n"
FIRST, SECOND = "purchases_2023-07-21.csv", "below/purchases_2023-07-22.csv"
KEYS = {
    f"{PREFIX}/purchases/1/{FIRST}": DAY_1.encode(),
    f"{PREFIX}/purchases/1/{SECOND}": DAY_2.encode(),
}


@pytest.fixture
def house(machine: House, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> House:
    """Return a house where two files wait, and whose archive is in the store, which is empty."""
    store.put({})
    environment = {**store.environment, "BOATHOUSE_ARCHIVE": f"s3://{BUCKET}/{PREFIX}"}
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    house = replace(machine.clone(tmp_path / "home"), environment=environment)
    house.drop("purchases", FIRST, DAY_1)
    house.drop("purchases/below", Path(SECOND).name, DAY_2)
    return house


def take(house: House) -> None:
    """Load what waits and carry the originals off, in this process."""
    load(house.settings, load_contracts(house.project))
    originals.carry_off(house.settings)


def here(house: House) -> set[str]:
    return {path.name for path in house.settings.archive_folder.rglob("*") if path.is_file()}


def rows(house: House) -> int:
    ((count,),) = house.in_lake("select count(*) from lake.raw.purchases")
    return int(count)


@pytest.mark.parametrize("command", ["load", "run"])
def test_originals_are_carried_off(house: House, store: Store, command: str) -> None:
    house.boathouse(command)
    assert store.objects() == KEYS
    assert here(house) == set()
    assert not list(house.settings.archive_folder.rglob("*"))


def test_originals_of_a_red_run_are_carried_off(house: House, store: Store, tmp_path: Path) -> None:
    project = tmp_path / "project"
    shutil.copytree(house.project, project)
    (project / "tests" / "data" / "never.sql").write_text("select 1 as one")
    replace(house, project=project).boathouse("run", code=1)
    assert store.objects() == KEYS


def test_rejected_rows_are_replayed_from_there(house: House, store: Store) -> None:
    take(house)
    assert rows(house) == 3
    told = house.json("quarantine", "replay")
    assert "no longer in the archive" not in str(told)
    assert "no number" in str(house.json("quarantine", "list"))
    take(house)
    assert store.objects() == KEYS
    assert here(house) == set()


def test_day_is_loaded_again_from_there(house: House) -> None:
    take(house)
    contracts = load_contracts(house.project)
    report = load_days(house.settings, contracts, "purchases", [date(2023, 7, 21)])
    assert report.sources["purchases"].files_loaded == 1
    assert rows(house) == 3
    project = Project(house.settings, contracts, {})
    partitions = day_partitions(project, contracts["purchases"])
    assert partitions.get_first_partition_key() == "2023-07-21"


def test_days_are_there_when_the_store_does_not_answer(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BOATHOUSE_S3_ENDPOINT", "http://127.0.0.1:1")
    contracts = load_contracts(house.project)
    project = Project(house.settings, contracts, {})
    assert day_partitions(project, contracts["purchases"]).get_partition_keys()


def test_what_was_carried_off_is_a_duplicate_when_it_comes_again(
    house: House, store: Store
) -> None:
    take(house)
    house.drop("purchases", FIRST, DAY_1)
    take(house)
    assert rows(house) == 3
    assert store.objects().keys() > KEYS.keys()
    assert here(house) == set()


@pytest.mark.parametrize("point", ["load:committed", "load:moved-one", "archive:carried"])
def test_load_that_was_killed_carries_off_by_the_next(
    house: House, store: Store, point: str
) -> None:
    house.boathouse("load", code=-signal.SIGKILL, BOATHOUSE_KILL_AT=point)
    take(house)
    assert store.objects() == KEYS
    assert here(house) == set()
    assert rows(house) == 3


def test_store_that_does_not_answer_holds_back_no_release(house: House, store: Store) -> None:
    told = house.boathouse("run", code=1, BOATHOUSE_S3_ENDPOINT="http://127.0.0.1:1").stderr
    assert f"s3://{BUCKET}/{PREFIX} does not answer" in told
    assert house.released("select count(*) from marts.fct_purchase_versions") == [(3,)]
    assert here(house) == {Path(name).name for name in (FIRST, SECOND)}
    house.boathouse("run")
    assert store.objects() == KEYS
    assert here(house) == set()


def test_doctor_reads_what_was_carried_off(house: House, store: Store) -> None:
    take(house)
    told = house.boathouse("doctor", "--deep").stdout
    assert "All 2 originals are as they were loaded" in told
    first, second = KEYS
    store.client.put_object(Bucket=BUCKET, Key=first, Body=DAY_2.encode())
    store.client.delete_object(Bucket=BUCKET, Key=second)
    told = house.boathouse("doctor", "--deep", code=1).stdout
    assert "1 original is not what was loaded" in told
    assert "1 original is no longer there" in told


def test_another_machine_finds_them(house: House, store: Store, tmp_path: Path) -> None:
    """What a home has carried off, one that is restored from its backup has, too."""
    take(house)
    made = house.json("backup", str(tmp_path / "made"))["path"]
    again = replace(house, home=tmp_path / "again")
    again.boathouse("restore", made, "--into", str(again.home))
    assert originals.is_kept(again.settings, "purchases", 1, FIRST)
    assert originals.bring(again.settings, "purchases", 1, SECOND).read_text() == DAY_2
    assert store.objects() == KEYS
