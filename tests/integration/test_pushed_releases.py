"""Releases go to an object store, and a machine with nothing else reads the same from it."""

import json
import signal
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from support.command import House, wait_until
from support.homes import copy_project
from support.object_store import BUCKET, Store

from boathouse import lake
from boathouse.bucket import ChangedError
from boathouse.errors import BoathouseError, DamagedError, IdentityError, UsageError
from boathouse.release import current_release, list_releases, push, release
from boathouse.release import store as store_module
from boathouse.release.pull import PullReport, follow, pull
from boathouse.release.store import Store as Releases
from boathouse.settings import Settings
from orchestration.releasing import release_and_compact

DAY_1 = "PurchaseID,product,user,date\n1,12,31,2023-07-01\n2,13,32,2023-07-01\n"
DAY_2 = "PurchaseID,product,user,date\n1,14,31,2023-07-02\n2,13,32,2023-07-01\n"
ONE_MORE = """
    insert into lake.marts.fct_purchase_versions
    select * replace (purchase_id + 100 as purchase_id)
    from lake.marts.fct_purchase_versions
    limit 1
"""
PREFIX = "releases"
VERSIONS = "select count(*) from marts.fct_purchase_versions"


@pytest.fixture(scope="module")
def made(store: Store, tmp_path_factory: pytest.TempPathFactory) -> tuple[House, dict[str, bytes]]:
    """Return a house after a run that has pushed its release, and what lies in the store."""
    folder = tmp_path_factory.mktemp("ashore")
    environment = {**store.environment, "BOATHOUSE_RELEASES": f"s3://{BUCKET}/{PREFIX}"}
    house = House(copy_project(folder / "project", ["purchases"]), folder / "home", environment)
    house.drop("purchases", "purchases_2023-07-21.csv", DAY_1)
    told = house.boathouse("run").stdout
    assert f"Pushed to s3://{BUCKET}/{PREFIX}." in told
    return house, store.objects()


@pytest.fixture
def house(
    made: tuple[House, dict[str, bytes]],
    store: Store,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> House:
    """Return a copy of that house, and the store as it was, for this process, too."""
    original, objects = made
    store.put(objects)
    for name, value in original.environment.items():
        monkeypatch.setenv(name, value)
    return original.clone(tmp_path / "home")


@pytest.fixture
def there(house: House, tmp_path: Path) -> House:
    """Return a house on another machine: an empty home, and the address."""
    return House(house.project, tmp_path / "there", house.environment)


def change(house: House) -> None:
    """Let a mart have one row more, which is to be released."""
    with lake.connect(house.settings) as opened:
        opened.con.execute(ONE_MORE)


def deliver(house: House) -> None:
    """Let another release be made, and pushed."""
    change(house)
    release(house.settings)
    assert push(house.settings)


def shown(store: Store) -> int:
    """Return the release that those who pull are to see."""
    told = json.loads(store.objects()[f"{PREFIX}/current.json"])
    return int(told["release_id"])


def pulled(house: House) -> PullReport:
    return pull(house.settings)


# -- pushing and pulling -----------------------------------------------------------------------


def test_machine_with_nothing_but_the_address_reads_the_release(house: House, there: House) -> None:
    assert "release 1 of" in there.boathouse("pull").stdout
    assert there.released(VERSIONS) == house.released(VERSIONS) == [(2,)]
    for name in ("1.duckdb", "1.lookups.sqlite", "1.sha256"):
        ours, theirs = (each.home / "releases" / name for each in (house, there))
        assert ours.read_bytes() == theirs.read_bytes()
    assert "Release 1 is here already." in there.boathouse("pull").stdout
    assert "2" in there.boathouse("sql", VERSIONS).stdout
    assert [each["release_id"] for each in there.json("releases")] == [1]
    state = there.json("status")
    assert state["pulled_from"] == f"s3://{BUCKET}/{PREFIX}"
    assert [each["rows"] for each in state["sources"]] == [2]
    assert (state["last_build"]["status"], state["blockers"]) == ("success", [])
    assert "has no lake" in there.boathouse("status").stdout
    levels = {each["area"]: each["level"] for each in there.json("doctor")["findings"]}
    assert set(levels.values()) == {"ok"}, levels


def test_home_that_pulls_makes_no_lake(there: House) -> None:
    there.boathouse("pull")
    there.drop("purchases", "purchases_2023-07-22.csv", DAY_2)
    for command in ("load", "run"):
        assert "pulls its releases from s3://" in there.boathouse(command, code=1).stderr
    there.boathouse("release", code=1)
    assert "where they are made" in there.boathouse("rollback", code=1).stderr
    assert not (there.home / "catalog.sqlite").exists()
    assert there.released(VERSIONS) == [(2,)]


def test_home_with_a_lake_does_not_pull(house: House) -> None:
    with pytest.raises(IdentityError, match="makes its releases itself"):
        pulled(house)


def test_new_release_and_rollback_are_followed(house: House, there: House, store: Store) -> None:
    pulled(there)
    deliver(house)
    report = pulled(there)
    assert (report.is_new, report.release.release_id) == (True, 2)
    assert there.released(VERSIONS) == [(3,)]

    house.boathouse("rollback")
    assert shown(store) == 1
    report = pulled(there)
    assert (report.is_new, report.release.release_id, report.bytes_taken) == (True, 1, 0)
    assert there.released(VERSIONS) == [(2,)]
    assert not push(house.settings)
    assert shown(store) == 1

    assert house.json("release")["is_pushed"]  # a person goes forward
    assert pulled(there).release.release_id == 2


def test_command_that_follows_takes_each_release_and_outlives_trouble(
    house: House, there: House
) -> None:
    broken = there.home / "releases"
    there.home.mkdir()
    broken.touch()  # something lies where a folder has to be
    with there.running("pull", "--follow", "--interval", "0.1") as process:
        wait_until(lambda: (there.home / "watch.json").exists(), "it lives", process)
        broken.unlink()
        wait_until(lambda: (there.home / "warehouse.duckdb").exists(), "a release", process)
        deliver(house)
        wait_until(lambda: there.released(VERSIONS) == [(3,)], "the next one", process)
        process.send_signal(signal.SIGTERM)
        told, said = process.communicate(timeout=60)
    assert process.returncode == 0
    assert "release 1 of" in told
    assert "release 2 of" in told
    assert "Something else lies" in said
    assert not (there.home / "watch.json").exists()


def test_trouble_of_who_follows_is_told_and_passes(there: House, store: Store) -> None:
    objects, errors, stop = store.objects(), [], threading.Event()
    store.put({})

    def on_error(error: BoathouseError) -> None:
        errors.append(error)
        store.put(objects)

    follow(
        there.settings,
        interval=0.01,
        stop=stop,
        on_pull=lambda _: stop.set(),
        on_error=on_error,
    )
    assert [each.message for each in errors] == [f"s3://{BUCKET}/{PREFIX} has no release."]
    assert there.released(VERSIONS) == [(2,)]


def test_dagsters_release_is_pushed(house: House, store: Store) -> None:
    change(house)
    release_and_compact(house.settings, "a test")
    assert shown(store) == 2


def test_environment_keeps_its_releases(house: House, store: Store) -> None:
    before = store.objects()
    house.boathouse("env", "create", "dev")
    house.boathouse("--env", "dev", "run")
    house.boathouse("--env", "dev", "release")
    assert store.objects() == before
    inside = replace(house, home=house.home / "environments" / "dev")
    assert "BOATHOUSE_RELEASES says otherwise" in inside.boathouse("run", code=2).stderr


# -- several who release -----------------------------------------------------------------------


def test_who_is_behind_does_not_put_back_what_he_has(
    house: House, store: Store, tmp_path: Path
) -> None:
    behind = house.clone(tmp_path / "behind")
    deliver(house)
    assert not push(behind.settings)
    assert shown(store) == 2
    house.boathouse("rollback")
    deliver_again = house.clone(tmp_path / "again")
    assert not push(deliver_again.settings)
    assert shown(store) == 1


def test_who_has_not_seen_the_last_change_does_not_change(house: House, there: House) -> None:
    releases = Releases(house.settings)
    before = releases.current()
    assert before is not None
    deliver(house)
    with pytest.raises(ChangedError):
        releases.show(before.stored, before)
    with pytest.raises(ChangedError):
        releases.show(before.stored, None)
    assert pulled(there).release.release_id == 2


def test_change_by_another_at_the_same_moment_is_looked_at_anew(
    house: House, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    change(house)
    release(house.settings)
    put = Releases.upload

    def upload(self: Releases, *arguments: object) -> None:
        put(self, *arguments)  # type: ignore[arg-type]
        monkeypatch.setattr(Releases, "upload", put)
        told = json.loads(store.objects()[f"{PREFIX}/current.json"])
        newer = json.dumps({**told, "release_id": 9, "newest": 9})  # somebody else's
        store.client.put_object(Bucket=BUCKET, Key=f"{PREFIX}/current.json", Body=newer)

    monkeypatch.setattr(Releases, "upload", upload)
    assert not push(house.settings)
    assert shown(store) == 9


def test_releases_of_another_lake_are_neither_replaced_nor_taken(
    house: House, there: House, store: Store, tmp_path: Path
) -> None:
    pulled(there)
    other = House(house.project, tmp_path / "other", house.environment)
    other.drop("purchases", "purchases_2023-07-21.csv", DAY_1)
    before = store.objects()
    assert "has releases of lake" in other.boathouse("run", code=1).stderr
    assert store.objects() == before
    store.put({})
    push(other.settings)
    with pytest.raises(IdentityError, match="has releases of lake"):
        pulled(there)
    assert there.released(VERSIONS) == [(2,)]


# -- what goes wrong ---------------------------------------------------------------------------


@pytest.mark.parametrize("point", ["push:uploaded", "push:shown", "release:shown", "release:noted"])
def test_release_that_was_killed_is_pushed_by_the_next(
    house: House, there: House, point: str
) -> None:
    change(house)
    house.boathouse("release", code=-signal.SIGKILL, BOATHOUSE_KILL_AT=point)
    assert pulled(there).release.release_id == (2 if point == "push:shown" else 1)
    release(house.settings)
    push(house.settings)
    assert pulled(there).release.release_id == 2
    assert there.released(VERSIONS) == [(3,)]


@pytest.mark.parametrize(
    "point", ["pull:downloaded", "release:lookups-named", "release:linked", "release:shown"]
)
def test_pull_that_was_killed_shows_one_whole_release(
    house: House, there: House, point: str
) -> None:
    pulled(there)
    deliver(house)
    there.boathouse("pull", code=-signal.SIGKILL, BOATHOUSE_KILL_AT=point)
    assert there.released(VERSIONS) == ([(3,)] if point == "release:shown" else [(2,)])
    pulled(there)
    assert there.released(VERSIONS) == [(3,)]
    files = sorted(path.name for path in (there.home / "releases").iterdir())
    assert files == sorted(
        f"{n}.{end}" for n in (1, 2) for end in ("duckdb", "lookups.sqlite", "sha256")
    )


def test_store_that_does_not_answer_holds_back_nothing_here(house: House, store: Store) -> None:
    change(house)
    told = house.boathouse("release", code=1, BOATHOUSE_S3_ENDPOINT="http://127.0.0.1:1").stderr
    assert "Release 2 is shown here, and not yet to those who pull it" in told
    assert house.released(VERSIONS) == [(3,)]
    assert shown(store) == 1
    assert house.json("run")["is_pushed"]
    assert shown(store) == 2


def test_doctor_tells_of_a_store_that_shows_another_release(house: House, there: House) -> None:
    pulled(there)
    change(house)
    release(house.settings)
    told = house.boathouse("doctor").stdout
    assert "shows release 1, and readers here see release 2" in told
    push(house.settings)
    assert "shows it, too" in house.boathouse("doctor").stdout
    assert "`boathouse pull` brings the newest" in there.boathouse("doctor").stdout
    told = there.boathouse("doctor", code=1, BOATHOUSE_S3_ENDPOINT="http://127.0.0.1:1").stdout
    assert "does not answer" in told


def test_missing_credentials_and_buckets_are_told(there: House, tmp_path: Path) -> None:
    nobody = {"AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "none"), "HOME": str(tmp_path)}
    kept = {key: value for key, value in there.environment.items() if "ACCESS_KEY" not in key}
    alone = House(there.project, there.home, {**kept, **nobody, "AWS_ACCESS_KEY_ID": ""})
    assert "AWS_PROFILE" in alone.boathouse("pull", code=1, AWS_SECRET_ACCESS_KEY="").stderr
    no_profile = there.boathouse("pull", code=1, AWS_PROFILE="nobody").stderr
    assert "The config profile (nobody) could not be found" in no_profile
    told = there.boathouse("pull", code=1, BOATHOUSE_RELEASES="s3://none/releases").stderr
    assert "does not let us in" in told
    told = there.boathouse("pull", code=2, BOATHOUSE_RELEASES="").stderr
    assert "Set BOATHOUSE_RELEASES" in told
    told = there.boathouse("pull", code=2, BOATHOUSE_RELEASES="/mnt/releases").stderr
    assert "should be s3://bucket/prefix" in told


def test_damage_is_not_taken_and_can_be_mended(house: House, there: House, store: Store) -> None:
    pulled(there)
    deliver(house)
    objects = store.objects()
    current = json.loads(objects[f"{PREFIX}/current.json"])
    name = f"{PREFIX}/files/{current['files']['warehouse.duckdb']['sha256']}"
    content = objects[name]
    store.put({**objects, name: content[:-1] + bytes([content[-1] ^ 1])})
    with pytest.raises(DamagedError) as told:
        pulled(there)
    assert f"s3://{BUCKET}/{name}" in told.value.hint
    assert there.released(VERSIONS) == [(2,)]

    store.client.delete_object(Bucket=BUCKET, Key=name)
    with pytest.raises(BoathouseError, match="its files are not there"):
        pulled(there)
    push(house.settings)
    assert pulled(there).release.release_id == 2
    assert there.released(VERSIONS) == [(3,)]


def test_damaged_release_is_not_pushed(house: House, store: Store) -> None:
    store.put({})
    path = house.settings.releases_folder / "1.duckdb"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.chmod(0o644)
    path.write_bytes(content)
    with pytest.raises(BoathouseError, match="is not what was released"):
        push(house.settings)
    assert store.objects() == {}


@pytest.mark.parametrize("spoilt", [b"", b"[]", b'{"format": 1}', b"<html>"])
def test_foreign_file_in_the_place_of_ours_is_told(
    house: House, there: House, store: Store, spoilt: bytes
) -> None:
    store.put({**store.objects(), f"{PREFIX}/current.json": spoilt})
    for act in (pull, push):
        with pytest.raises(BoathouseError, match="not what Boathouse puts there"):
            act(there.settings if act is pull else house.settings)


def test_what_a_newer_version_has_put_there_is_refused(there: House, store: Store) -> None:
    name = f"{PREFIX}/current.json"
    told = {**json.loads(store.objects()[name]), "format": 99}
    store.put({**store.objects(), name: json.dumps(told).encode()})
    with pytest.raises(IdentityError, match="newer Boathouse"):
        pulled(there)


# -- upkeep ------------------------------------------------------------------------------------


def test_as_many_releases_stay_there_as_here(
    house: House, there: House, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BOATHOUSE_RELEASES_KEPT", "1")
    monkeypatch.setattr(store_module, "YOUNG", -store_module.YOUNG)
    deliver(house)
    names = [name.removeprefix(f"{PREFIX}/") for name in store.objects()]
    assert len(names) == 4, names
    assert {"current.json", "releases/2.json"} < set(names)
    pulled(there)
    assert [each.release_id for each in list_releases(there.settings)] == [2]


def test_files_that_somebody_may_be_about_to_name_stay(
    house: House, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = store.objects()
    monkeypatch.setenv("BOATHOUSE_RELEASES_KEPT", "1")
    deliver(house)
    files = {name for name in before if "/files/" in name}
    assert files < store.objects().keys()
    assert f"{PREFIX}/releases/1.json" not in store.objects()


def test_without_an_address_nothing_is_pushed_or_pulled(
    house: House, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("BOATHOUSE_RELEASES")
    before = store.objects()
    settings: Settings = house.settings
    assert not push(settings, is_asked=True)
    with pytest.raises(UsageError, match="no address"):
        pull(settings)
    assert store.objects() == before
    assert current_release(settings) is not None
