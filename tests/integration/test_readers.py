"""Whatever a client does with `warehouse.duckdb`: releases, and everybody else, never notice."""

import os
from collections.abc import Iterator
from pathlib import Path

import houses
import pytest
from support.homes import clone
from support.processes import Client, client

from boathouse import doctor
from boathouse.query import open_for_queries
from boathouse.release import current_release, release, rollback
from boathouse.release.reading import OpenRelease, Warehouse
from boathouse.settings import Settings

SESSIONS = "select count(*) from marts.fct_sessions"
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="permissions stop everybody but root")


@pytest.fixture(scope="module")
def _released(_template: Settings, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    settings = clone(_template, tmp_path_factory.mktemp("released") / "data")
    release(settings)
    change(settings, 1)
    release(settings)
    return settings


@pytest.fixture
def home(_released: Settings, tmp_path: Path) -> Settings:
    """Return a house with two releases, of 60 and of 61 sessions."""
    settings = clone(_released, tmp_path / "data")
    for release_id in (1, 2):  # so that what readers open was made here, and not by copying a home
        rollback(settings, release_id)
    return settings


@pytest.fixture
def writing(home: Settings) -> Iterator[Client]:
    """Return a client that has the file open for writing, and has written."""
    with client(home.warehouse) as opened:
        assert opened.said == "open"
        assert opened.ask("create table marts.mine as select 1 as x") == "[(1,)]"
        opened.ask("delete from marts.fct_sessions where true")
        yield opened


def change(settings: Settings, number: int) -> None:
    """Add a session to the mart."""
    houses.execute(
        settings,
        "insert into lake.marts.fct_sessions "
        f"select * replace ('n{number}' as session_id) from lake.marts.fct_sessions limit 1",
    )


def kept(settings: Settings) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in settings.releases_folder.iterdir()}


def seen_by_us(settings: Settings) -> set[int]:
    """Return how many sessions `boathouse sql`, and API and dashboard, see."""
    with open_for_queries(settings) as con:
        ((asked,),) = con.execute(SESSIONS).fetchall()
    opened = Warehouse(settings, OpenRelease, "test").current()
    ((served,),) = opened.con.execute(SESSIONS).fetchall()
    return {asked, served}


def seen_by_others(settings: Settings) -> set[str]:
    """Return how many sessions clients see that open the file, in either way."""
    found = set()
    for mode in ("read", "default"):
        with client(settings.warehouse, mode=mode) as opened:
            found.add(opened.ask(SESSIONS) if opened.said == "open" else opened.said)
    return found


@needs_root
def test_writing_client_changes_no_release_and_keeps_nobody_of_ours_out(
    home: Settings, writing: Client
) -> None:
    before = kept(home)
    assert seen_by_us(home) == {61}
    writing.ask("checkpoint")
    assert seen_by_us(home) == {61}
    assert kept(home) == before


@needs_root
def test_next_release_lets_all_others_in_while_the_client_goes_on_writing(
    home: Settings, writing: Client
) -> None:
    change(home, 2)
    release(home)
    before = kept(home)
    assert seen_by_others(home) == {"[(62,)]"}
    # With a log that begins now, when the file that it opened is no longer the current one.
    writing.ask("checkpoint")
    assert writing.ask("insert into marts.mine values (2)") == "[(1,)]"
    assert seen_by_others(home) == {"[(62,)]"}
    assert seen_by_us(home) == {62}
    assert kept(home) == before


@needs_root
def test_release_that_has_nothing_to_release_lets_others_in_as_well(
    home: Settings, writing: Client
) -> None:
    assert not release(home).is_new
    assert seen_by_others(home) == {"[(61,)]"}
    assert writing.ask(SESSIONS) == "[(0,)]"


@needs_root
def test_rollback_goes_back_while_a_client_writes(home: Settings, writing: Client) -> None:
    assert rollback(home).release_id == 1
    writing.ask("insert into marts.mine values (2)")
    assert seen_by_others(home) == {"[(60,)]"} and seen_by_us(home) == {60}
    assert rollback(home, 2).release_id == 2
    assert seen_by_others(home) == {"[(61,)]"} and seen_by_us(home) == {61}


@needs_root
@pytest.mark.parametrize("is_released_anew", [True, False])
def test_log_of_a_client_that_crashed_is_replayed_into_nothing(
    home: Settings, writing: Client, is_released_anew: bool
) -> None:
    writing.crash()
    assert list(home.home_folder.rglob("*.wal"))
    if is_released_anew:
        change(home, 2)
    release(home)
    expected = 61 + is_released_anew
    assert seen_by_others(home) == {f"[({expected},)]"} and seen_by_us(home) == {expected}
    rollback(home, 1)
    assert seen_by_others(home) == {"[(60,)]"}


@needs_root
def test_log_beside_the_link_itself_goes_with_the_next_release(home: Settings) -> None:
    stray = home.home_folder / "warehouse.duckdb.wal"
    stray.write_bytes(b"of a client that does not follow links")
    rollback(home)
    assert not stray.exists()


@needs_root
def test_file_that_a_client_has_changed_and_closed_is_put_right(home: Settings) -> None:
    with client(home.warehouse) as opened:
        opened.ask("delete from marts.fct_sessions where true")
    assert seen_by_others(home) == {"[(0,)]"}
    release(home)
    assert seen_by_others(home) == {"[(61,)]"}


def test_client_that_obeys_permissions_is_told_no(home: Settings) -> None:
    with client(home.warehouse, as_root=False) as opened:
        assert "Permission denied" in opened.said
    with client(home.warehouse, mode="read", as_root=False) as opened:
        assert opened.ask(SESSIONS) == "[(61,)]"


def test_readers_that_are_there_keep_nobody_from_releasing(home: Settings) -> None:
    with client(home.warehouse, mode="read") as reading:
        change(home, 2)
        release(home)
        assert reading.ask(SESSIONS) == "[(61,)]"
        assert seen_by_others(home) == {"[(62,)]"}


@needs_root
def test_doctor_says_who_writes_and_what_to_do_and_mends_nothing(
    home: Settings, writing: Client
) -> None:
    (found,) = [each for each in doctor.diagnose(home).findings if each.area == "release"]
    assert found.level == "problem" and f"process {writing.pid}" in found.what
    assert "python" in found.what and "read-only" in found.to_do and "run" in found.to_do
    writing.crash()
    (found,) = [each for each in doctor.diagnose(home).findings if each.area == "release"]
    assert found.level == "problem" and "was changed" in found.what
    release(home)
    assert doctor.diagnose(home).is_well


def test_home_of_before_with_a_link_to_the_release_itself_gets_a_copy(home: Settings) -> None:
    home.warehouse.unlink()
    home.warehouse.hardlink_to(home.releases_folder / "1.duckdb")
    current = current_release(home)
    assert current is not None and current.release_id == 1
    assert doctor.diagnose(home).is_well
    release(home, keep_rollback=True)
    current = current_release(home)
    assert current is not None and current.release_id == 1
    assert not home.warehouse.samefile(home.releases_folder / "1.duckdb")
    assert seen_by_others(home) == {"[(60,)]"}


def test_copies_that_nobody_is_led_to_are_deleted_once_they_are_old(home: Settings) -> None:
    readers = home.home_folder / "readers"
    (current,) = [path for path in readers.iterdir() if path.samefile(home.warehouse)]
    rollback(home, 1)
    rollback(home, 2)
    assert current in readers.iterdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("boathouse.release.readers._YOUNG_SECONDS", -1)
        release(home)
    (left,) = readers.iterdir()
    assert left.samefile(home.warehouse) and left != current
