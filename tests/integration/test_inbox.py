"""Deliveries in an object store are loaded like those in landing, by one machine or several."""

import signal
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.command import House, finish, wait_until
from support.object_store import BUCKET, Store
from support.postgres import make_database, make_machines

from boathouse.contracts import load_contracts
from boathouse.errors import UnreachableError
from boathouse.ingest import deliveries, inbox
from boathouse.ingest.loader import load
from boathouse.ingest.report import LoadReport

PREFIX = "landing"
HEAD = "PurchaseID,product,user,date\n"
DAY_1 = f"{HEAD}1,12,31,2023-07-01\n2,13,32,2023-07-01\n"
DAY_2 = f"{HEAD}1,14,31,2023-07-02\n2,13,32,2023-07-01\n"
FIRST, SECOND = "purchases_2023-07-21.csv", "purchases_2023-07-22.csv"
LOADED = "select file_name, status, rows_loaded from lake.meta.loads order by all"


@pytest.fixture
def house(machine: House, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> House:
    """Return a house in which nothing has run, whose landing is in the store, too, and empty."""
    store.put({})
    inbox._listed.clear()
    environment = {**store.environment, "BOATHOUSE_LANDING": f"s3://{BUCKET}/{PREFIX}"}
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return replace(machine.clone(tmp_path / "home"), environment=environment)


def put(store: Store, name: str, content: str | bytes, source: str = "purchases") -> None:
    store.client.put_object(Bucket=BUCKET, Key=f"{PREFIX}/{source}/{name}", Body=content)


def take(house: House) -> LoadReport:
    """Load what waits, in this process."""
    return load(house.settings, load_contracts(house.project))


def archived(house: House) -> dict[str, str]:
    """Return the originals that a home has archived: their names and contents."""
    return {path.name: path.read_text() for path in house.home.glob("archive/**/*.csv")}


def require_loaded(house: House, *files: str) -> None:
    """Check that these files were loaded once, and that their rows are there once."""
    assert house.in_lake(LOADED) == [(name, "loaded", 2) for name in sorted(files)]
    rows = house.in_lake("select _file, count(*) from lake.raw.purchases group by all order by all")
    assert rows == [(name, 2) for name in sorted(files)]


# -- one machine -------------------------------------------------------------------------------


def test_file_in_the_store_is_loaded_archived_and_deleted(house: House, store: Store) -> None:
    put(store, FIRST, DAY_1)
    put(store, f"below/{SECOND}", DAY_2)
    assert [each["files_waiting"] for each in house.json("status")["sources"]] == [2]
    house.boathouse("run")
    require_loaded(house, FIRST, f"below/{SECOND}")
    assert archived(house).keys() == {FIRST, SECOND}
    assert store.objects() == {}
    assert not inbox.folder(house.settings).exists()
    assert house.json("load")["sources"] == {}


def test_both_landings_are_loaded_in_the_order_of_names(house: House, store: Store) -> None:
    house.drop("purchases", SECOND, DAY_2)
    put(store, FIRST, DAY_1)
    take(house)
    require_loaded(house, FIRST, SECOND)
    loads = house.in_lake("select file_name from lake.meta.loads order by load_id, file_name")
    assert [name for (name,) in loads] == [FIRST, SECOND]


def test_many_files_are_brought_a_transaction_at_a_time(house: House, store: Store) -> None:
    names = [f"purchases_2023-06-{day:02}.csv" for day in range(1, 21)]
    for name in names:
        put(store, name, DAY_1)
    report = load(
        house.settings.model_copy(update={"batch_files": 7}),
        load_contracts(house.project),
    )
    assert report.sources["purchases"].files_loaded == 20
    assert len(house.in_lake("select distinct load_id from lake.meta.loads")) == 3
    assert store.objects() == {}


def test_what_is_refused_is_rejected_here_and_can_be_replayed(house: House, store: Store) -> None:
    put(store, FIRST, "usr,product\n1,2\n")
    put(store, "notes.txt", "no delivery")
    assert take(house).sources["purchases"].files_rejected == 2
    assert store.objects() == {}
    rejected = house.home / "rejected" / "purchases"
    assert {path.name for path in rejected.iterdir()} > {FIRST, "notes.txt"}
    (rejected / FIRST).write_text(DAY_1)
    house.boathouse("quarantine", "replay")
    rows = house.in_lake("select count(*) from lake.raw.purchases")
    assert rows == [(2,)]


def test_what_is_delivered_again_is_a_duplicate(house: House, store: Store) -> None:
    for _ in range(2):
        put(store, FIRST, DAY_1)
        take(house)
    statuses = house.in_lake("select status from lake.meta.loads order by all")
    assert statuses == [("duplicate",), ("loaded",)]
    assert store.objects() == {}


@pytest.mark.parametrize(
    "name",
    [
        *("../../escape.csv", "./a.csv", "a//b.csv", f"{'n' * 300}.csv", "what/../else.csv"),
        *("..", "purchases/"),
    ],
)
def test_names_that_are_no_paths_stay_where_they_are(
    house: House, store: Store, tmp_path: Path, name: str
) -> None:
    put(store, FIRST, DAY_1)
    put(store, name, DAY_2)
    put(store, "stray.csv", DAY_2, source="nobody")
    before = set(tmp_path.rglob("*escape*"))
    report = take(house)
    require_loaded(house, FIRST)
    assert len(store.objects()) == 2
    assert "nobody/stray.csv" in report.unknown
    assert set(tmp_path.rglob("*escape*")) == before


def test_hidden_and_unfinished_files_are_left_alone(house: House, store: Store) -> None:
    for name in (".hidden.csv", f"{FIRST}.tmp", ".folder/a.csv", "empty/"):
        put(store, name, DAY_1 if not name.endswith("/") else "")
    report = take(house)
    assert report.left_alone == [f"purchases/{FIRST}.tmp"]
    assert report.sources == {}
    assert len(store.objects()) == 4


def test_file_that_is_replaced_meanwhile_is_taken_by_the_next_load(
    house: House, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(store, FIRST, DAY_1)
    delete = inbox._delete

    def delete_late(*arguments: Any) -> None:
        put(store, FIRST, DAY_2)
        delete(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(inbox, "_delete", delete_late)
        take(house)
    assert store.objects() == {f"{PREFIX}/purchases/{FIRST}": DAY_2.encode()}
    take(house)
    assert store.objects() == {}
    assert house.in_lake("select distinct product from lake.raw.purchases order by 1")[-1] == (14,)


def test_file_that_is_gone_or_another_when_it_is_brought_is_left_alone(
    house: House, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(store, FIRST, DAY_1)
    put(store, SECOND, DAY_2)
    bring = inbox._bring

    def bring_late(*arguments: Any) -> None:
        store.put({f"{PREFIX}/purchases/{FIRST}": DAY_2.encode()})  # others take one, replace one
        bring(*arguments)

    monkeypatch.setattr(inbox, "_bring", bring_late)
    report = take(house)
    assert sorted(report.left_alone) == [f"purchases/{FIRST}", f"purchases/{SECOND}"]
    assert list(store.objects()) == [f"{PREFIX}/purchases/{FIRST}"]


@pytest.mark.parametrize(
    "point",
    ["inbox:fetched", "load:read", "load:committed", "archive:before-move", "load:moved-one"],
)
def test_load_that_was_killed_is_finished_by_the_next(
    house: House, store: Store, point: str
) -> None:
    put(store, FIRST, DAY_1)
    put(store, SECOND, DAY_2)
    house.boathouse("load", code=-signal.SIGKILL, BOATHOUSE_KILL_AT=point)
    take(house)
    rows = house.in_lake("select _file, count(*) from lake.raw.purchases group by all order by all")
    assert rows == [(FIRST, 2), (SECOND, 2)]
    assert archived(house) == {FIRST: DAY_1, SECOND: DAY_2}
    assert store.objects() == {}
    assert not inbox.folder(house.settings).exists()


def test_load_that_was_killed_while_it_deleted_loads_nothing_twice(
    house: House, store: Store
) -> None:
    put(store, FIRST, DAY_1)
    put(store, SECOND, DAY_2)
    house.boathouse("load", code=-signal.SIGKILL, BOATHOUSE_KILL_AT="inbox:deleted")
    take(house)
    rows = house.in_lake("select _file, count(*) from lake.raw.purchases group by all order by all")
    assert rows == [(FIRST, 2), (SECOND, 2)]
    assert store.objects() == {}


def test_store_that_does_not_answer_is_told_and_holds_back_nothing_that_is_here(
    house: House, store: Store
) -> None:
    silent = {"BOATHOUSE_S3_ENDPOINT": "http://127.0.0.1:1"}
    put(store, FIRST, DAY_1)
    house.drop("purchases", SECOND, DAY_2)
    done = house.boathouse("run", code=1, **silent)
    assert f"s3://{BUCKET}/{PREFIX} does not answer" in done.stderr
    assert "BOATHOUSE_LANDING" in done.stderr
    assert house.released("select count(*) from marts.fct_purchases") == [(2,)]
    require_loaded(house, SECOND)
    house.boathouse("generate", "--if-empty", **silent)  # as `make warehouse` does
    for command, code in (("status", 0), ("doctor", 1)):
        assert "does not answer" in house.boathouse(command, code=code, **silent).stdout
    assert "does not answer" in house.boathouse("load", code=1, **silent).stderr
    take(house)
    require_loaded(house, FIRST, SECOND)


@pytest.mark.parametrize("step", ["_bring", "_delete"])
def test_store_that_fails_in_the_middle_leaves_nothing_half_done(
    house: House, store: Store, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    third = "purchases_2023-07-23.csv"
    put(store, FIRST, DAY_1)
    put(store, SECOND, DAY_2)
    house.drop("purchases", third, DAY_1)
    act = getattr(inbox, step)
    done = []

    def fail_for_the_second(*arguments: Any) -> None:
        done.append(arguments)
        if len(done) == 2:
            raise UnreachableError("It hangs.")
        act(*arguments)

    settings = house.settings.model_copy(update={"batch_files": 1})
    with monkeypatch.context() as patch:
        patch.setattr(inbox, step, fail_for_the_second)
        report = load(settings, load_contracts(house.project))
    with pytest.raises(UnreachableError, match="It hangs"):
        report.require_reached()
    require_loaded(house, *[FIRST, SECOND, third] if step == "_delete" else [FIRST, third])
    assert list(store.objects()) == [f"{PREFIX}/purchases/{SECOND}"]
    assert take(house).trouble is None
    rows = house.in_lake("select _file, count(*) from lake.raw.purchases group by all order by all")
    assert rows == [(name, 2) for name in (FIRST, SECOND, third)]
    assert store.objects() == {}


def test_watch_goes_on_with_what_is_here_while_the_store_does_not_answer(house: House) -> None:
    silent = {"BOATHOUSE_S3_ENDPOINT": "http://127.0.0.1:1"}
    house.drop("purchases", FIRST, DAY_1)
    with house.running("watch", "--interval", "0.1", **silent) as watching:
        wait_until(lambda: house.settings.warehouse.exists(), "a release", watching)
        house.drop("purchases", SECOND, DAY_2)
        count = "select count(*) from marts.fct_purchase_versions"
        wait_until(lambda: house.released(count) == [(3,)], "a second release", watching)
        watching.send_signal(signal.SIGTERM)
        assert "does not answer" in finish(watching).stderr


def test_watch_takes_what_comes(house: House, store: Store) -> None:
    with house.running("watch", "--interval", "0.1") as watching:
        wait_until(lambda: (house.home / "watch.json").exists(), "it lives", watching)
        put(store, FIRST, DAY_1)
        wait_until(lambda: house.settings.warehouse.exists(), "a release", watching)
        wait_until(lambda: store.objects() == {}, "it is taken", watching)
        watching.send_signal(signal.SIGTERM)
        done = finish(watching)
    assert f"and s3://{BUCKET}/{PREFIX}" in done.stdout
    assert house.released("select count(*) from marts.fct_purchases") == [(2,)]


def test_who_looks_again_and_again_does_not_ask_each_time(
    house: House, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    contracts = load_contracts(house.project)
    assert deliveries.find(house.settings, contracts).count == 0
    put(store, FIRST, DAY_1)
    assert deliveries.find(house.settings, contracts).count == 0
    monkeypatch.setattr(inbox, "LIST_SECONDS", 0)
    assert deliveries.find(house.settings, contracts).count == 1


def test_environment_takes_nothing(house: House, store: Store) -> None:
    house.drop("purchases", FIRST, DAY_1)
    take(house)
    put(store, SECOND, DAY_2)
    house.boathouse("env", "create", "dev")
    house.boathouse("--env", "dev", "load")
    assert len(store.objects()) == 1
    take(house)
    assert store.objects() == {}


# -- several machines --------------------------------------------------------------------------


@pytest.fixture
def machines(
    machine: House, store: Store, house: House, postgres: str, tmp_path: Path
) -> tuple[House, House]:
    """Return two machines that share catalogue, files and landing."""
    del store
    address = make_database(postgres, f"inbox_{abs(hash(tmp_path)) % 10**9}")
    one, two = make_machines(machine, tmp_path, address)
    return tuple(  # type: ignore[return-value]
        replace(each, environment={**house.environment, **each.environment}) for each in (one, two)
    )


def test_machines_that_load_at_once_take_each_file_once(
    machines: tuple[House, House], store: Store
) -> None:
    one, two = machines
    names = [f"purchases_2023-06-{day:02}.csv" for day in range(1, 13)]
    for name in names[:6]:
        put(store, name, DAY_1)
    errors: list[BaseException] = []

    def work(house: House) -> None:
        try:
            house.boathouse("load", BOATHOUSE_BATCH_FILES="2")
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=[each]) for each in (one, two, two)]
    for thread in threads:
        thread.start()
    for name in names[6:]:
        put(store, name, DAY_1)
    for thread in threads:
        thread.join()
    assert errors == []
    one.boathouse("load")
    assert store.objects() == {}
    loads = "select file_name, count(*) as n, max(status) as status from lake.meta.loads"
    told = two.json("sql", "--lake", f"{loads} group by all order by all")
    assert told == [{"file_name": name, "n": 1, "status": "loaded"} for name in names]
    rows = two.json("sql", "--lake", "select count(*) as n from raw.purchases")
    assert rows == [{"n": 24}]
    assert archived(one).keys() | archived(two).keys() == set(names)


@pytest.mark.parametrize("point", ["inbox:fetched", "load:committed"])
def test_what_a_killed_machine_had_taken_the_other_loads_and_it_comes_back_to_nothing(
    machines: tuple[House, House], store: Store, point: str
) -> None:
    one, two = machines
    put(store, FIRST, DAY_1)
    one.boathouse("load", code=-signal.SIGKILL, BOATHOUSE_KILL_AT=point)
    assert list(inbox.folder(one.settings).rglob(FIRST))
    two.boathouse("load")
    put(store, FIRST, DAY_2)  # the same name, delivered anew
    two.boathouse("load")
    one.boathouse("load")
    told = two.json("sql", "--lake", "select product from raw.purchases order by _row")
    assert told == [{"product": 14}, {"product": 13}]
    statuses = two.json("sql", "--lake", "select status from meta.loads order by load_id")
    assert [each["status"] for each in statuses] == ["replaced", "loaded"]
    originals = sorted(path.read_text() for path in two.home.glob("archive/**/*.csv"))
    assert originals == sorted([DAY_1, DAY_2])
    assert store.objects() == {}
    assert not inbox.folder(one.settings).exists()
