"""A lake in an object store: its prefix knows whose it is, and nothing of others is touched."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from support.command import House
from support.homes import copy_project
from support.object_store import BUCKET, KEYS, Store

DAY_1 = "PurchaseID,product,user,date\n1,12,31,2023-07-01\n2,13,32,2023-07-01\n"
DAY_2 = "PurchaseID,product,user,date\n1,14,31,2023-07-02\n2,13,32,2023-07-01\n"
AT_ONCE = {"BOATHOUSE_KEEP_SNAPSHOTS_DAYS": "0", "BOATHOUSE_KEEP_FILES_HOURS": "0"}
WRITING = ("load", "run", "maintain", "release")


@pytest.fixture(scope="module")
def made(store: Store, tmp_path_factory: pytest.TempPathFactory) -> tuple[House, dict[str, bytes]]:
    """Return a house whose lake is in the store, after a run, and the objects of that lake."""
    folder = tmp_path_factory.mktemp("afloat")
    environment = {**store.environment, **AT_ONCE, "BOATHOUSE_LAKE": f"s3://{BUCKET}/lake"}
    house = House(copy_project(folder / "project", ["purchases"]), folder / "home", environment)
    house.drop("purchases", "purchases_2023-07-21.csv", DAY_1)
    house.boathouse("run")
    return house, store.objects()


@pytest.fixture
def house(made: tuple[House, dict[str, bytes]], store: Store, tmp_path: Path) -> House:
    """Return a copy of that house, with a file that waits, and the store as it was."""
    original, objects = made
    store.put(objects)
    house = original.clone(tmp_path / "home")
    house.drop("purchases", "purchases_2023-07-22.csv", DAY_2)
    return house


def elsewhere(house: House, **environment: str) -> House:
    return replace(house, environment={**house.environment, **environment})


def require_refusal(house: House, store: Store, *said: str) -> None:
    """Check that nothing that writes does so, nor deletes anything, and that the reason is told."""
    before = store.objects()
    for command in WRITING:
        told = house.boathouse(command, code=1).stderr
        assert any(each in told for each in said), told
    assert store.objects() == before
    assert (house.home / "landing/purchases/purchases_2023-07-22.csv").exists()
    assert not list((house.home / "rejected").rglob("*.*"))


def test_prefix_carries_the_identity_of_its_lake(house: House, store: Store) -> None:
    home = json.loads((house.home / "boathouse.json").read_text())
    mark = json.loads(store.objects()["lake/boathouse.json"])
    assert mark["lake"] == home["lake"]
    assert any(name.endswith(".parquet") for name in store.objects())
    house.boathouse("run")
    house.boathouse("maintain")
    assert house.released("select count(*) from marts.fct_purchase_versions") == [(3,)]
    assert json.loads(store.objects()["lake/boathouse.json"]) == mark


def test_wrong_prefix_is_refused(house: House, store: Store) -> None:
    wrong = elsewhere(house, BOATHOUSE_LAKE=f"s3://{BUCKET}/lakes")
    require_refusal(wrong, store, f"are in s3://{BUCKET}/lake/ according to its catalogue")
    house.boathouse("run")
    assert house.released("select count(*) from marts.fct_purchase_versions") == [(3,)]


def test_prefix_of_a_foreign_lake_is_refused(house: House, store: Store) -> None:
    foreign = {"lake": "f" * 32, "format": 1}
    store.put({**store.objects(), "lake/boathouse.json": json.dumps(foreign).encode()})
    require_refusal(house, store, "do not belong together")


def test_new_home_does_not_take_the_prefix_of_a_lake_for_its_own(
    house: House, store: Store, tmp_path: Path
) -> None:
    new = House(house.project, tmp_path / "new", house.environment)
    before = store.objects()
    new.drop("purchases", "purchases_2023-07-22.csv", DAY_2)
    for command in ("load", "run"):
        told = new.boathouse(command, code=1).stderr
        assert f"s3://{BUCKET}/lake has files of a lake" in told, told
    assert store.objects() == before


def test_emptied_bucket_is_refused(house: House, store: Store) -> None:
    before = store.objects()
    store.put({})
    require_refusal(house, store, "has none of the files that")
    store.put(before)
    house.boathouse("run")
    assert house.released("select count(*) from marts.fct_purchase_versions") == [(3,)]


def test_store_that_does_not_answer_is_no_empty_one(house: House, store: Store) -> None:
    lost = elsewhere(house, BOATHOUSE_S3_ENDPOINT="http://127.0.0.1:1")
    require_refusal(lost, store, "What the lake stands on does not answer")
    assert house.json("load")["sources"]["purchases"]["rows_loaded"] == 2


def without_keys(house: House, **environment: str) -> House:
    kept = {name: value for name, value in house.environment.items() if name not in KEYS}
    return replace(house, environment={**kept, **environment})


def test_credentials_are_found_where_the_aws_command_line_finds_them(
    house: House, tmp_path: Path
) -> None:
    told = [f"{name.lower()} = {value}" for name, value in KEYS.items()]
    (tmp_path / "credentials").write_text("\n".join(["[boats]", *told]))
    profile = {
        "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "credentials"),
        "AWS_PROFILE": "boats",
    }
    without_keys(house, **profile).boathouse("run")
    assert house.released("select count(*) from marts.fct_purchase_versions") == [(3,)]


def test_missing_credentials_are_asked_for(house: House, store: Store, tmp_path: Path) -> None:
    nowhere = {"AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "none"), "HOME": str(tmp_path)}
    told = without_keys(house, **nowhere)
    require_refusal(told, store, f"no credentials for s3://{BUCKET}/lake")
    assert "AWS_PROFILE" in told.boathouse("run", code=1).stderr


def test_credentials_are_shown_to_nobody(house: House) -> None:
    for query, shown in (
        ("from duckdb_settings()", "s3_access_key_id"),
        ("select provider, secret_string from duckdb_secrets()", "credential_chain"),
    ):
        for form in ((), ("--json",)):
            told = house.boathouse("sql", "--lake", *form, query)
            assert shown in told.stdout
            assert KEYS["AWS_SECRET_ACCESS_KEY"] not in told.stdout + told.stderr


@pytest.mark.parametrize(
    "environment",
    [
        {"BOATHOUSE_S3_URL_STYLE": "vhost"},
        {"BOATHOUSE_S3_ENDPOINT": "", "AWS_ENDPOINT_URL": "http://localhost"},
        {
            "BOATHOUSE_S3_ENDPOINT": "",
            "DUCKDB_S3_ENDPOINT": "localhost",
            "DUCKDB_S3_USE_SSL": "false",
        },
    ],
)
def test_store_is_reached_by_any_of_its_addresses(
    house: House, store: Store, environment: dict[str, str]
) -> None:
    # Of a host's names for each bucket, those of localhost are this machine.
    at = store.address.replace("127.0.0.1", "localhost")
    port = at.rpartition(":")[2]
    given = {
        "BOATHOUSE_S3_ENDPOINT": at,
        **{
            name: f"{value}:{port}" if value.endswith("localhost") else value
            for name, value in environment.items()
        },
    }
    elsewhere(house, **given).boathouse("run")
    assert house.released("select count(*) from marts.fct_purchase_versions") == [(3,)]
