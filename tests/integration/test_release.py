"""Releases: what readers see, that it is what the lake has, and that going back works."""

import random
import re
import shutil
import signal
import sqlite3
import stat
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import duckdb
import houses
import pytest
from support.command import House
from support.homes import clone
from support.shared import made_once

from boathouse import status
from boathouse.adoption import adopt
from boathouse.build import run_build
from boathouse.errors import ReleaseError
from boathouse.release import (
    ReleaseProgress,
    ReleaseReport,
    current_release,
    list_releases,
    lookups,
    publish,
    release,
    rollback,
    write,
)
from boathouse.settings import Settings

REST_OF_SESSION = (
    "false as is_completed, false as has_clock_skew, date '2016-12-02' as session_date, "
    "now()::timestamp as first_loaded_at, now()::timestamp as last_loaded_at"
)
ADD_SESSION = (
    "insert into lake.marts.fct_sessions by name select 'n' || {0} as session_id, 'p1' as "
    f"player_id, {REST_OF_SESSION}"
)
STARTED = (
    "select country, epoch_us(started_at), session_id, player_id from marts.fct_sessions "
    "where country is not null and started_at is not null order by all"
)
SESSIONS = "select count(*) from marts.fct_sessions"


def change(settings: Settings, number: int = 1) -> None:
    """Change a mart in the lake; it stays as releasable as it was."""
    houses.execute(settings, ADD_SESSION.format(number))


def how(report: ReleaseReport) -> dict[str, str]:
    return {mart.name: mart.how for mart in report.marts}


def seen(settings: Settings) -> int:
    ((count,),) = houses.released_rows(settings, SESSIONS)
    return int(count)


def looked_up(settings: Settings) -> list[tuple[object, ...]]:
    """Return the look-up of sessions by country, beside the current release."""
    current = current_release(settings)
    assert current is not None
    with closing(sqlite3.connect(lookups.beside(current.path))) as con:
        return con.execute(
            'select * from "fct_sessions.started_sessions" order by 1, 2, 3'
        ).fetchall()


def assert_tidy(settings: Settings) -> None:
    """Check that what lies on the disk, what readers see and what the lake says are the same."""
    kept = list_releases(settings)
    names = {path.name for path in settings.releases_folder.iterdir()}
    endings = ("duckdb", "lookups.sqlite", "sha256")
    names.discard("held-back.json")  # says what is in none of them
    assert names == {f"{each.release_id}.{ending}" for each in kept for ending in endings}
    assert not list(settings.home_folder.glob(".*.tmp"))
    current = current_release(settings)
    assert [each for each in kept if each.is_current] == [current]
    noted = houses.lake_rows(settings, "select release_id, is_current from lake.meta.releases")
    assert {number for number, is_current in noted if is_current} == {current.release_id}
    assert {each.release_id for each in kept} <= {number for number, _ in noted}


# What a release is


def test_release_shows_the_marts_as_they_are_in_the_lake(house: Settings) -> None:
    report = release(house)
    assert report.is_new
    assert houses.released_marts(house) == houses.marts(house)
    assert set(how(report).values()) == {"written anew"}
    assert_tidy(house)


def test_everybody_is_led_to_a_read_only_copy_of_the_released_file(house: Settings) -> None:
    info = release(house).release
    assert info.path == house.releases_folder / "1.duckdb"
    assert house.warehouse.is_symlink() and not house.warehouse.samefile(info.path)
    assert house.warehouse.read_bytes() == info.path.read_bytes()
    for path in (house.warehouse, info.path):
        assert stat.S_IMODE(path.stat().st_mode) == 0o444
    assert not list(house.home_folder.rglob("*.wal"))


def test_released_macro_works_without_the_lake(home: Settings) -> None:
    query = "select purchase_id, product_id from marts.purchases_as_of(date '{}') order by all"
    before = houses.released_rows(home, query.format("2023-07-21"))
    after = houses.released_rows(home, query.format("2023-07-22"))
    assert before == [(1, 12), (2, 13), (4, 14)]
    assert after == [(1, 12), (2, 13), (4, 10)]


def test_released_tables_and_columns_say_what_the_project_says(home: Settings) -> None:
    tables = dict(
        houses.released_rows(
            home, "select table_name, comment from duckdb_tables() where schema_name = 'marts'"
        )
    )
    assert tables["fct_sessions"].startswith("One row per session")
    assert all(tables.values())
    columns = dict(
        houses.released_rows(
            home,
            "select column_name, comment from duckdb_columns() where table_name = 'fct_sessions'",
        )
    )
    assert columns["session_id"] == "The session."


def test_new_description_is_released(editable_house: Settings) -> None:
    release(editable_house)
    houses.execute(
        editable_house,
        "update lake.meta.nodes set description = 'It''s new.' where name = 'fct_sessions'",
    )
    assert release(editable_house).is_new
    query = "select comment from duckdb_tables() where table_name = 'fct_sessions'"
    assert houses.released_rows(editable_house, query) == [("It's new.",)]


def test_released_tables_lie_in_the_order_that_people_look_up(house: Settings) -> None:
    houses.execute(
        house,
        "update lake.meta.nodes set release_order = ['player_id', 'started_at'] "
        "where name = 'fct_sessions'",
    )
    release(house)
    rows = houses.released_rows(house, "select player_id, started_at from marts.fct_sessions")
    assert rows == sorted(rows)
    keys = houses.released_rows(house, "select player_id from marts.dim_players")
    assert keys == sorted(keys)


def test_order_by_a_column_that_is_not_there_is_refused(house: Settings) -> None:
    houses.execute(
        house,
        "update lake.meta.nodes set release_order = ['nothing'] where name = 'fct_sessions'",
    )
    with pytest.raises(ReleaseError, match=r"fct_sessions.sql: .* has no column nothing"):
        release(house)


def test_release_tells_about_itself_and_about_the_warehouse(house: Settings) -> None:
    houses.execute(
        house,
        "insert into lake.meta.rejected_rows (load_id, source, raw_row) "
        "select 1, 'purchases', repeat('x', 20000)",
    )
    info = release(house).release
    about = "select release_id, lake_snapshot, build_id, released_at from meta.release"
    assert houses.released_rows(house, about) == [
        (1, info.lake_snapshot, 1, info.released_at),
    ]
    assert houses.released_rows(house, "select release_id, is_current from meta.releases") == [
        (1, True)
    ]
    assert houses.released_rows(house, "select length(raw_row) from meta.rejected_rows") == [
        (10000,)
    ]
    assert houses.released_rows(house, "from meta.loads order by load_id") == houses.lake_rows(
        house, "from lake.meta.loads order by load_id"
    )
    assert houses.released_rows(house, "select build_id, status from meta.builds") == [
        (1, "success")
    ]
    tests = houses.released_rows(
        house,
        "select status, tested, tested_at is null from meta.test_results "
        "where name = 'unique_dim_players_player_id'",
    )
    assert tests == [("pass", ["dim_players"], False)]
    unfinished = houses.released_rows(
        house, "select count(*) from meta.test_results where status is null"
    )
    assert unfinished == [(0,)]


def test_table_that_is_no_longer_in_the_project_is_left_out(home: Settings) -> None:
    houses.execute(home, "create table lake.marts.old_mart as select 1 as one")
    houses.execute(home, "delete from lake.meta.nodes where name = 'rpt_sessions_by_country'")
    report = release(home)
    assert report.left_out == ("old_mart", "rpt_sessions_by_country")
    assert "rpt_sessions_by_country" not in houses.released_marts(home)


def test_mart_that_is_a_view_is_released_as_a_table(house: Settings) -> None:
    houses.execute(
        house,
        "drop table lake.marts.rpt_sessions_by_country",
        "create view lake.marts.rpt_sessions_by_country as "
        "select country, count(*) as sessions from lake.marts.fct_sessions group by country",
    )
    release(house)
    change(house)
    report = release(house)
    assert how(report)["rpt_sessions_by_country"] == "written anew"
    query = "select sum(sessions) from {}marts.rpt_sessions_by_country"
    expected = houses.lake_rows(house, query.format("lake."))
    assert houses.released_rows(house, query.format("")) == expected == [(61,)]


def test_progress_names_every_mart(house: Settings) -> None:
    steps: list[ReleaseProgress] = []
    report = release(house, on_progress=steps.append)
    assert {mart.name for mart in report.marts} <= {step.step for step in steps}
    assert all(step.done <= step.total for step in steps)


# Whether there is one


def test_nothing_new_makes_no_release(home: Settings) -> None:
    first = current_release(home)
    run_build(home, select=["rpt_sessions_by_country"])
    report = release(home)
    assert not report.is_new
    assert report.release == first
    assert [each.release_id for each in list_releases(home)] == [1]


def test_red_test_keeps_readers_on_the_release_before(home: Settings) -> None:
    houses.add_events(home, [("start", None, "p1", "s1", houses.START)])
    run_build(home, select=["source:raw.session_events+"])
    with pytest.raises(ReleaseError) as caught:
        release(home)
    assert "source_not_null_raw_session_events_country" in str(caught.value)
    assert "boathouse build" in caught.value.hint
    told = status.collect(home)
    assert told.last_build is not None
    assert "source_not_null_raw_session_events_country" in told.last_build.failed
    assert any("source_not_null_raw_session_events_country" in each for each in told.blockers)
    assert seen(home) == 60
    assert_tidy(home)


def test_home_without_a_lake_is_refused_and_left_alone(settings: Settings) -> None:
    with pytest.raises(ReleaseError, match="Nothing has been built"):
        release(settings)
    assert not Path(settings.catalog_uri.removeprefix("sqlite:")).exists()
    assert current_release(settings) is None
    assert list_releases(settings) == []


def test_mart_that_is_missing_from_the_lake_is_refused(house: Settings) -> None:
    houses.execute(house, "drop table lake.marts.dim_players")
    with pytest.raises(ReleaseError, match="does not have dim_players"):
        release(house)


# What it costs


def test_only_what_has_changed_is_written(home: Settings) -> None:
    change(home)
    report = release(home)
    changed = {name: way for name, way in how(report).items() if way != "carried over"}
    assert changed == {"fct_sessions": "changed in part"}
    (mart,) = [mart for mart in report.marts if mart.name == "fct_sessions"]
    assert (mart.rows, mart.rows_written) == (61, 1)
    assert houses.released_marts(home) == houses.marts(home)


def test_table_made_anew_with_the_same_rows_is_carried_over(home: Settings) -> None:
    change(home)
    houses.execute(
        home,
        "create or replace table lake.marts.dim_players as from lake.marts.dim_players",
    )
    assert how(release(home))["dim_players"] == "carried over"
    assert how(release_after_change(home))["dim_players"] == "carried over"


def release_after_change(settings: Settings) -> ReleaseReport:
    change(settings, 99)
    return release(settings)


def test_table_is_written_anew_once_too_many_of_its_rows_lie_out_of_order(
    home: Settings,
) -> None:
    ways = []
    for batch in range(4):  # five rows a time, of sixty
        houses.execute(home, *(ADD_SESSION.format(batch * 5 + each) for each in range(5)))
        ways.append(how(release(home))["fct_sessions"])
    assert ways == ["changed in part", "changed in part", "written anew", "changed in part"]
    assert houses.released_marts(home) == houses.marts(home)


def test_deletes_that_compaction_hides_are_not_missed(home: Settings) -> None:
    houses.execute(home, "delete from lake.marts.fct_sessions where session_id < 's2'")
    houses.execute(home, *(ADD_SESSION.format(each) for each in range(3)))
    houses.execute(home, "call ducklake_flush_inlined_data('lake')")
    houses.execute(home, "call ducklake_rewrite_data_files('lake', delete_threshold => 0.0)")
    houses.execute(home, "call ducklake_merge_adjacent_files('lake')")
    release(home)
    assert houses.released_marts(home) == houses.marts(home)


@pytest.mark.parametrize("large", [write.LARGE, 0])
def test_compaction_alone_changes_nothing_and_does_not_hinder_the_next_change(
    house: Settings, monkeypatch: pytest.MonkeyPatch, large: int
) -> None:
    monkeypatch.setattr(write, "LARGE", large)
    release(house)
    houses.execute(house, "delete from lake.marts.fct_sessions where session_id < 's2'")
    houses.execute(house, "update lake.marts.fct_sessions set country='X' where session_id='s2'")
    assert how(release(house))["fct_sessions"] == "changed in part"
    houses.execute(house, "call ducklake_rewrite_data_files('lake', delete_threshold => 0.0)")
    assert not release(house).is_new
    change(house)
    assert how(release(house))["fct_sessions"] == "changed in part"
    assert houses.released_marts(house) == houses.marts(house)


def test_rows_changed_in_part_of_a_key_are_not_missed(house: Settings) -> None:
    """A key that covers several rows, of which one changes."""
    houses.execute(
        house,
        "update lake.meta.nodes set \"key\" = ['player_id'] where name = 'fct_sessions'",
    )
    release(house)
    houses.execute(house, "update lake.marts.fct_sessions set country='XX' where session_id='s1'")
    assert how(release(house))["fct_sessions"] == "written anew"
    assert houses.released_marts(house) == houses.marts(house)


def test_row_without_a_key_is_changed_like_any_other(house: Settings) -> None:
    houses.execute(
        house,
        "alter table lake.marts.fct_sessions alter column session_id drop not null",
        f"insert into lake.marts.fct_sessions by name select 'p1' as player_id, {REST_OF_SESSION}",
    )
    release(house)
    houses.execute(
        house, "update lake.marts.fct_sessions set player_id = 'p2' where session_id is null"
    )
    assert how(release(house))["fct_sessions"] == "changed in part"
    assert houses.released_marts(house) == houses.marts(house)


def test_new_column_is_released(home: Settings) -> None:
    houses.execute(home, "alter table lake.marts.fct_sessions add column note varchar")
    houses.execute(home, "update lake.marts.fct_sessions set note = 'x' where session_id = 's1'")
    assert how(release(home))["fct_sessions"] == "written anew"
    assert houses.released_marts(home) == houses.marts(home)


def test_changes_whose_snapshots_have_expired_are_not_missed(home: Settings) -> None:
    change(home, 1)
    ((snapshot,),) = houses.lake_rows(home, "from ducklake_current_snapshot('lake')")
    change(home, 2)
    houses.execute(home, "delete from lake.marts.dim_players where player_id = 'p1'")
    houses.execute(
        home, f"call ducklake_expire_snapshots('lake', versions => [{snapshot}, {snapshot + 1}])"
    )
    report = release(home)
    assert how(report)["fct_purchases"] == "carried over"
    assert houses.released_marts(home) == houses.marts(home)


def test_lake_restored_from_a_backup_is_not_taken_for_the_one_it_was(home: Settings) -> None:
    backup = home.home_folder.parent / "backup"
    shutil.copytree(home.home_folder / "lake", backup / "lake")
    shutil.copy(home.home_folder / "catalog.sqlite", backup)
    change(home, 1)
    release(home)
    shutil.rmtree(home.home_folder / "lake")
    shutil.copytree(backup, home.home_folder, dirs_exist_ok=True)
    adopt(home)
    for number in range(8):  # so that its snapshots pass those of the release
        houses.execute(home, f"update lake.marts.dim_players set total_seconds = {number}")
    release(home)
    assert houses.released_marts(home) == houses.marts(home)


def random_changes(settings: Settings, chance: random.Random) -> None:
    """Change marts in some of the ways in which builds, hands and maintenance do."""
    low = chance.randrange(1000)
    span = f"session_id between 'x{low:04}' and 'x{low + chance.randrange(40):04}'"
    new = chance.randrange(10**9)
    ways: list[tuple[str, ...]] = [
        (
            f"create or replace temp table touched as from lake.marts.fct_sessions where {span}",
            f"delete from lake.marts.fct_sessions where {span}",
            f"insert into lake.marts.fct_sessions select * replace ({new} as duration_seconds) "
            "from touched",
        ),
        (f"update lake.marts.fct_sessions set duration_seconds = {new} where {span}",),
        (f"delete from lake.marts.fct_sessions where {span}",),
        (
            "insert into lake.marts.fct_sessions by name "
            f"select 'x' || lpad((range + {new})::varchar, 10, '0') as session_id, 'p' as "
            f"player_id, {REST_OF_SESSION} from range({chance.randrange(30)})",
        ),
        (f"update lake.marts.dim_players set total_seconds = {new} where player_id = 'p1'",),
        ("create or replace table lake.marts.dim_players as from lake.marts.dim_players",),
        ("call ducklake_flush_inlined_data('lake')",),
        ("call ducklake_rewrite_data_files('lake', delete_threshold => 0.0)",),
        ("call ducklake_merge_adjacent_files('lake')",),
    ]
    for _ in range(chance.randrange(1, 5)):
        houses.execute(settings, *chance.choice(ways))


@pytest.mark.parametrize(("seed", "large"), [(0, write.LARGE), (1, write.LARGE), (2, 0)])
def test_releases_on_top_of_each_other_show_what_one_from_nothing_shows(
    house: Settings, monkeypatch: pytest.MonkeyPatch, seed: int, large: int
) -> None:
    monkeypatch.setattr(write, "LARGE", large)
    chance = random.Random(seed)
    houses.execute(
        house,
        "insert into lake.marts.fct_sessions by name select 'x' || lpad(range::varchar, 4, '0') "
        f"as session_id, 'p' as player_id, {REST_OF_SESSION} from range(1000)",
    )
    release(house)
    ways = set()
    for _ in range(5):
        random_changes(house, chance)
        ways |= set(how(release(house)).values())
        expected = houses.marts(house)
        for name, rows in houses.released_marts(house).items():
            assert rows == expected[name], name
        assert looked_up(house) == houses.released_rows(house, STARTED)
    assert "changed in part" in ways


# Going back


def test_rollback_puts_the_release_before_back_and_forward_again(home: Settings) -> None:
    change(home)
    release(home)
    assert seen(home) == 61
    assert rollback(home).release_id == 1
    assert seen(home) == 60
    assert_tidy(home)
    assert rollback(home, 2).release_id == 2
    assert seen(home) == 61
    assert_tidy(home)


def test_release_after_a_rollback_goes_forward_but_a_job_does_not(home: Settings) -> None:
    change(home)
    release(home)
    rollback(home)
    report = release(home, keep_rollback=True)
    assert (report.is_new, report.is_rolled_back, report.release.release_id) == (False, True, 1)
    assert seen(home) == 60
    report = release(home)
    assert (report.is_new, report.is_rolled_back, report.release.release_id) == (False, False, 2)
    assert seen(home) == 61
    assert_tidy(home)


def test_new_data_after_a_rollback_is_released_by_a_job_too(home: Settings) -> None:
    change(home, 1)
    release(home)
    rollback(home)
    change(home, 2)
    report = release(home, keep_rollback=True)
    assert (report.is_new, report.release.release_id) == (True, 3)
    assert houses.released_marts(home) == houses.marts(home)


def test_rollback_to_what_is_not_kept_says_what_is(house: Settings) -> None:
    with pytest.raises(ReleaseError, match=r"No release is older\. Kept are: none"):
        rollback(house)
    release(house)
    change(house)
    release(house)
    with pytest.raises(ReleaseError, match=r"Release 7 is not kept. Kept are: 2 \(.*UTC\), 1 \("):
        rollback(house, 7)
    rollback(house)
    with pytest.raises(ReleaseError, match="No release is older"):
        rollback(house)


def test_rollback_does_not_wait_for_a_writer(home: Settings) -> None:
    change(home)
    release(home)
    writer = houses.python(
        home,
        "import time\n"
        "from boathouse import lock\n"
        "with lock.writer(settings, 'a long build'):\n"
        "    print('held', flush=True)\n"
        "    time.sleep(600)",
    )
    try:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "held\n"
        assert rollback(home).release_id == 1
        assert seen(home) == 60
    finally:
        writer.kill()
        writer.communicate()
    assert release(home, keep_rollback=True).is_rolled_back
    assert_tidy(home)


def test_only_the_newest_releases_are_kept_and_always_the_current_one(house: Settings) -> None:
    two = house.model_copy(update={"releases_kept": 2})
    for number in range(3):
        change(two, number)
        release(two)
    assert [each.release_id for each in list_releases(two)] == [3, 2]
    rollback(two)
    one = house.model_copy(update={"releases_kept": 1})
    change(one, 3)
    release(one)
    assert [each.release_id for each in list_releases(one)] == [4]
    ids = houses.lake_rows(one, "select release_id from lake.meta.releases order by all")
    assert ids == [(1,), (2,), (3,), (4,)]


def test_id_of_a_release_is_never_used_again(home: Settings) -> None:
    home.warehouse.unlink()
    shutil.rmtree(home.releases_folder)
    assert release(home).release.release_id == 2


def test_releases_in_the_lake_are_mended_from_the_files(home: Settings) -> None:
    change(home)
    release(home)
    houses.execute(home, "delete from lake.meta.releases where release_id = 1")
    houses.execute(home, "update lake.meta.releases set is_current = false")
    assert not release(home).is_new
    assert_tidy(home)


def test_missing_warehouse_file_is_the_newest_release_again(home: Settings) -> None:
    home.warehouse.unlink()
    assert current_release(home) is None
    report = release(home, keep_rollback=True)
    assert (report.is_new, report.release.release_id) == (False, 1)
    assert seen(home) == 60


def test_broken_warehouse_file_is_told_and_replaced(home: Settings) -> None:
    home.warehouse.unlink()
    home.warehouse.write_text("not a database")
    with pytest.raises(ReleaseError, match="is no file that Boathouse has released"):
        current_release(home)
    release(home)
    assert seen(home) == 60
    assert_tidy(home)


def test_file_system_without_links_gets_copies(
    house: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: Path, target: Path) -> None:
        raise PermissionError(1, "Operation not permitted", str(self), None, str(target))

    monkeypatch.setattr(Path, "symlink_to", refuse)
    release(house)
    change(house)
    release(house)
    assert not house.warehouse.is_symlink()
    assert not house.warehouse.samefile(house.releases_folder / "2.duckdb")
    assert seen(house) == 61
    rollback(house)
    assert seen(house) == 60
    assert_tidy(house)


# What may go wrong


def points() -> list[str]:
    """Return every point at which a release or a rollback may be killed."""
    code = "".join(path.read_text() for path in Path(publish.__file__).parent.glob("*.py"))
    found = re.findall(r'reached\("((?:release|rollback):[^"]+)"\)', code)
    assert len(found) > 8
    return sorted(set(found))


def killed(settings: Settings, command: str, point: str) -> None:
    """Let a command be killed at a point."""
    house = House(settings.project, settings.home_folder)
    house.boathouse(command, code=-signal.SIGKILL, BOATHOUSE_KILL_AT=point)


@pytest.fixture(scope="session")
def _changed(request: pytest.FixtureRequest, _released: Settings) -> Settings:
    """Return settings for a house with a release, and something to release and to note."""

    def make(folder: Path) -> Settings:
        settings = clone(_released, folder / "data")
        houses.add_events(settings, houses.sessions([0]))  # so that there is freshness to note
        change(settings, 1)
        return settings

    return made_once(request, "changed-house", make)


@pytest.mark.parametrize("point", points())
def test_killed_anywhere_leaves_one_whole_release_and_nothing_to_mend_by_hand(
    _changed: Settings, tmp_path: Path, point: str
) -> None:
    home = clone(_changed, tmp_path / "data")
    command = point.partition(":")[0]
    if command == "rollback":
        release(home)
    before = {1: 60, 2: 61}
    killed(home, command, point)
    assert seen(home) in before.values()
    current = current_release(home)
    assert current is not None
    assert before[current.release_id] == seen(home)
    for each in list_releases(home):
        ((count,),) = houses.released_rows(home, SESSIONS, each.path)
        assert count == before[each.release_id]
    release(home)
    assert houses.released_marts(home) == houses.marts(home)
    assert_tidy(home)


def test_release_killed_before_it_had_a_name_can_be_rolled_back_and_forward(
    home: Settings,
) -> None:
    change(home)
    killed(home, "release", "release:shown")
    assert rollback(home).release_id == 1
    assert [each.release_id for each in list_releases(home)] == [2, 1]
    assert rollback(home, 2).release_id == 2
    assert seen(home) == 61


def test_reader_keeps_its_release_while_others_come(home: Settings) -> None:
    first = current_release(home)
    assert first is not None
    with duckdb.connect(str(home.warehouse), read_only=True) as reader:
        cursor = reader.execute("select session_id from marts.fct_sessions order by all")
        assert cursor.fetchone() == ("s0",)
        for number in range(2):
            change(home, number)
            release(home.model_copy(update={"releases_kept": 1}))
        assert not first.path.exists()
        assert len(cursor.fetchall()) == 59
        assert reader.execute(SESSIONS).fetchall() == [(60,)]
    assert seen(home) == 62


def test_full_disk_leaves_the_release_before_and_says_so(home: Settings) -> None:
    houses.execute(
        home,
        "insert into lake.marts.fct_sessions by name select uuid()::varchar as session_id, "
        f"uuid()::varchar as player_id, {REST_OF_SESSION} from range(200000)",
    )
    process = houses.python(
        home,
        "import resource\n"
        "from boathouse.errors import DiskFullError\n"
        "from boathouse.release import release\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4_000_000, 4_000_000))\n"
        "try:\n"
        "    release(settings)\n"
        "except DiskFullError as error:\n"
        "    print(error)",
    )
    output, errors = process.communicate()
    assert "The release could not be made" in output, errors
    assert "Make room" in output
    assert seen(home) == 60
    assert_tidy(home)
    release(home)
    assert seen(home) == 200060


@pytest.mark.parametrize(
    ("damage", "complaint"),
    [
        ("drop table released.marts.dim_players", "dim_players is missing"),
        ("delete from released.marts.dim_players", "dim_players has 0 rows, not 7"),
        ("alter table released.marts.dim_players drop country", "dim_players has columns"),
        ("drop macro table released.marts.purchases_as_of", "purchases_as_of cannot be called"),
    ],
)
def test_file_that_does_not_hold_what_it_should_never_reaches_readers(
    home: Settings, monkeypatch: pytest.MonkeyPatch, damage: str, complaint: str
) -> None:
    change(home)
    honest: Callable[..., object] = publish.write_file

    def damaging(con: duckdb.DuckDBPyConnection, plan: object, path: Path, *more: object) -> object:
        written = honest(con, plan, path, *more)
        con.execute(f"attach '{path}' as released")
        con.execute(damage)
        con.execute("detach released")
        return written

    monkeypatch.setattr(publish, "write_file", damaging)
    with pytest.raises(ReleaseError, match=f"did not pass its audit: .*{complaint}"):
        release(home)
    assert seen(home) == 60
    assert_tidy(home)


def test_mart_that_differs_from_the_lake_never_reaches_readers(
    home: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    houses.execute(
        home,
        "create or replace table lake.marts.dim_players as "
        "select * replace (1::bigint as total_seconds) from lake.marts.dim_players",
    )
    honest = publish.make_plan

    def mistaken(*arguments: object) -> object:
        plan = honest(*arguments)  # type: ignore[arg-type]
        steps = [
            replace(step, query=f"from ({step.source} limit 3)")
            if step.relation.name == "dim_players"
            else step
            for step in plan.steps
        ]
        return replace(plan, steps=steps)

    monkeypatch.setattr(publish, "make_plan", mistaken)
    with pytest.raises(ReleaseError, match="dim_players does not have the rows"):
        release(home)
    assert_tidy(home)


def test_file_that_is_mostly_empty_is_not_started_from(house: Settings) -> None:
    filler = "create or replace table lake.marts.dim_players as select {} as player_id"
    houses.execute(house, filler.format("uuid()::varchar") + " from range(500000)")
    large = release(house).release.size_bytes
    houses.execute(house, filler.format("'p1'"))
    release(house, allow_shrink=True)
    change(house)
    report = release(house)
    assert set(how(report).values()) == {"written anew"}
    assert report.release.size_bytes < large / 2
    assert houses.released_marts(house) == houses.marts(house)


# How fresh the sources are


def freshness(settings: Settings) -> dict[str, tuple[object, ...]]:
    rows = houses.released_rows(
        settings, "select source, rows, rejected_rows, last_event_at from meta.source_freshness"
    )
    return {source: rest for source, *rest in rows}


def test_release_says_how_fresh_the_sources_are(home: Settings) -> None:
    latest = datetime(2016, 12, 2, 0, 1, 59)
    assert freshness(home)["session_events"] == [120, 0, latest]
    assert freshness(home)["purchases"] == [6, 0, datetime(2023, 7, 22)]
    houses.add_events(home, houses.sessions([5], day=1))
    houses.add_events(home, houses.sessions([6], day=-1))
    release(home)
    assert freshness(home)["session_events"] == [124, 0, datetime(2016, 12, 3, 0, 1, 5)]


def test_release_says_how_fresh_each_source_should_be(home: Settings) -> None:
    assert houses.released_rows(home, "from meta.sources order by source") == [
        ("purchases", "purchases", 36.0, None),
        ("session_events", "sessions", 48.0, None),
    ]


def test_freshness_goes_back_when_rows_are_taken_back(house: Settings) -> None:
    load_id = houses.add_events(house, houses.sessions([5], day=1))
    release(house)
    houses.execute(
        house,
        "insert into lake.replaced.session_events by name "
        f"select *, {load_id + 1} as _replaced_by from lake.raw.session_events "
        f"where _load_id = {load_id}",
        f"delete from lake.raw.session_events where _load_id = {load_id}",
        f"update lake.meta.loads set status = 'replaced' where load_id = {load_id}",
    )
    houses.add_events(house, houses.sessions([6], day=-1))
    release(house)
    assert freshness(house)["session_events"] == [122, 0, datetime(2016, 12, 2, 0, 1, 59)]


def test_rows_in_quarantine_are_those_not_replayed(house: Settings) -> None:
    houses.execute(
        house,
        "insert into lake.meta.loads (load_id, source, rows_read, rows_loaded, rows_rejected, "
        "status, reason, loaded_at) values (50, 'purchases', 5, 2, 3, 'loaded', null, now()), "
        "(51, 'purchases', 1, 1, 0, 'loaded', 'replay of load 50', now()), "
        "(52, 'purchases', 9, 0, 9, 'rejected', 'no header', now())",
    )
    release(house)
    assert freshness(house)["purchases"][:2] == [9, 2]
