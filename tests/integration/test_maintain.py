"""Maintenance changes nothing that anybody can ask for, and finishes what a kill cut short."""

import os
import signal
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import houses
import pytest
from support.command import PATIENCE_SECONDS
from support.homes import REPOSITORY, clone
from yards import Yard, check_promises, quick_connections

from boathouse import lake, lake_files, pipeline
from boathouse.build import run_build
from boathouse.errors import BuildError, LakeError
from boathouse.maintain import maintain
from boathouse.maintain.counts import count, require_same, states
from boathouse.maintain.removal import files_lock, require_unused
from boathouse.maintain.snapshots import spaced
from boathouse.release import files as release_files
from boathouse.release import list_releases, release
from boathouse.settings import Settings

CHECKPOINTS = ("maintain:flushed", "maintain:expired", "maintain:unused-removed")
NO_TESTS = ("resource_type:test", "resource_type:unit_test")
AT_ONCE = {"keep_snapshots_days": 0, "keep_files_hours": 0}


def at_once(settings: Settings) -> Settings:
    """Return settings under which nothing is kept for its age."""
    return settings.model_copy(update=AT_ONCE)


@pytest.fixture(scope="module")
def _busy(tmp_path_factory: pytest.TempPathFactory) -> Yard:
    """Return a yard with many small files, inlined rows, corrected and rejected ones."""
    folder = tmp_path_factory.mktemp("busy")
    yard = Yard(folder, **AT_ONCE).source()
    for number in range(4):
        many = "".join(f"{number}{row},name,{row}\n" for row in range(30))
        yard.deliver(f"many-{number}.csv", f"id,name,amount\n{many}")
        yard.deliver("corrected.csv", f"id,name,amount\n1,version {number},1\nx,bad,1\n")
        yard.load()
    return yard


@pytest.fixture
def yard(_busy: Yard, tmp_path: Path) -> Iterator[Yard]:
    """Return such a yard, of this test's own."""
    with quick_connections():
        yield copy_of(_busy, tmp_path / "data")


def copy_of(template: Yard, home: Path) -> Yard:
    yard = Yard(home.parent)
    yard.settings = clone(template.settings, home)
    return yard


def contents(settings: Settings, snapshot: int | None = None) -> dict[str, Any]:
    """Return count and checksum of the rows of all tables, now or as of a snapshot."""
    with lake.connect(settings, read_only=True, version=snapshot) as opened:
        tables = opened.rows(
            "select schema_name || '.\"' || table_name || '\"' from duckdb_tables() "
            "where database_name = 'lake' order by all"
        )
        return {
            name: opened.rows(f"select count(*), sum(hash(t)) from lake.{name} as t")[0]
            for (name,) in tables
        }


def on_disk(settings: Settings) -> set[str]:
    return {str(path) for path in Path(settings.data_path).rglob("*.parquet")}


def in_catalog(settings: Settings) -> set[str]:
    with lake.connect(settings) as opened:
        return {file.path for file in lake_files.referenced(opened, settings)}


def snapshots(settings: Settings) -> list[int]:
    found = houses.lake_rows(settings, "select snapshot_id from ducklake_snapshots('lake')")
    return sorted(snapshot for (snapshot,) in found)


def test_lake_holds_the_same_in_fewer_snapshots_and_files(yard: Yard) -> None:
    before, newest = contents(yard.settings), snapshots(yard.settings)[-1]
    report = maintain(yard.settings)
    assert report.flushed and report.snapshots_expired == newest
    assert report.counts_compared == len(before)
    assert contents(yard.settings) == contents(yard.settings, newest) == before
    assert snapshots(yard.settings)[0] == newest
    again = maintain(yard.settings)
    assert (again.flushed, again.pruned) == ({}, {})
    assert contents(yard.settings) == before
    assert on_disk(yard.settings) == in_catalog(yard.settings)
    yard.deliver("many-0.csv", (yard.settings.archive_folder / "things/1/many-0.csv").read_bytes())
    assert yard.load().sources["things"].files_duplicate == 1


def test_dry_run_says_what_would_be_done_and_does_nothing(yard: Yard) -> None:
    orphan = Path(yard.settings.data_path, "raw", "orphan.parquet")
    orphan.write_text("left behind")
    before = (contents(yard.settings), snapshots(yard.settings), on_disk(yard.settings))
    said = maintain(yard.settings, dry_run=True)
    assert (contents(yard.settings), snapshots(yard.settings), on_disk(yard.settings)) == before
    done = maintain(yard.settings)
    assert said.dry_run and not done.dry_run
    for name in ("flushed", "compacted", "pruned", "snapshots_expired", "orphans_removed"):
        assert getattr(said, name) == getattr(done, name), name
    assert done.orphans_removed == (str(orphan),) and not orphan.exists()


def test_recent_snapshots_and_young_files_stay(yard: Yard) -> None:
    young = yard.settings.model_copy(update={"keep_snapshots_days": 1, "keep_files_hours": 1})
    orphan = Path(young.data_path, "raw", "orphan.parquet")
    orphan.write_text("left behind")
    before = snapshots(young)
    report = maintain(young)
    assert report.snapshots_expired == 0 and set(before) <= set(snapshots(young))
    assert orphan.exists()
    long_ago = time.time() - 2 * 3600
    os.utime(orphan, (long_ago, long_ago))
    assert maintain(young).orphans_removed == (str(orphan),)


def test_older_snapshots_are_the_last_ones_of_ten_minutes_and_of_hours() -> None:
    now = datetime(2026, 3, 4, 12, 5, tzinfo=UTC)
    day_ago = now - timedelta(days=1)
    times = {-number: now - timedelta(minutes=7 * number) for number in range(1_000)}
    kept = [times[number] for number in spaced(sorted(times.items()), now)]
    for is_of_day, spacing in ((True, timedelta(minutes=10)), (False, timedelta(hours=1))):
        last: dict[int, datetime] = {}
        for moment in times.values():
            if (moment >= day_ago) is is_of_day:
                number = (moment - datetime(2026, 1, 1, tzinfo=UTC)) // spacing
                last[number] = max(moment, last.get(number, moment))
        assert len(last) > 90
        assert sorted(each for each in kept if (each >= day_ago) is is_of_day) == sorted(
            last.values()
        )


def test_runs_thin_snapshots_and_models_go_on_from_those_that_they_have_read(
    house: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("boathouse.maintain.snapshots.KEPT_WHOLE", 2)
    monkeypatch.setattr("boathouse.maintain.snapshots.MOST", 12)
    monkeypatch.setattr("boathouse.maintain.snapshots.LEAST_EXPIRED", 1)
    release(house)
    rebuilt = "select model, rebuilt_snapshot from lake.meta.model_state order by all"
    as_ever = houses.lake_rows(house, rebuilt)
    made, kept = 0, []
    for day in range(1, 5):
        before = snapshots(house)[-1]
        houses.add_events(house, houses.sessions(range(55 + day, 70 + day), day=day))
        pipeline.run(house)
        made += snapshots(house)[-1] - before
        kept.append(len(snapshots(house)))
    assert made > 20 and max(kept) <= 12 + len(as_ever)
    read = houses.lake_rows(house, "select distinct lake_snapshot from lake.meta.model_state")
    assert {snapshot for (snapshot,) in read} <= set(snapshots(house))
    assert houses.lake_rows(house, rebuilt) == as_ever
    incremental = houses.marts(house)
    assert houses.released_marts(house) == incremental
    run_build(house, select=["source:raw.session_events+"], exclude=NO_TESTS, full_refresh=True)
    assert houses.marts(house) == incremental


def test_runs_that_fail_thin_snapshots_too(
    editable_house: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, most in (("KEPT_WHOLE", 2), ("MOST", 6), ("LEAST_EXPIRED", 1), ("MOST_FOLLOWED", 4)):
        monkeypatch.setattr(f"boathouse.maintain.snapshots.{name}", most)
    release(editable_house)
    shown = list_releases(editable_house)[0].lake_snapshot
    model = editable_house.project / "models/marts/sessions/dim_players.sql"
    right = model.read_text()
    model.write_text(f"{right}\n+")
    for day in range(1, 4):
        houses.add_events(editable_house, houses.sessions(range(60, 70), day=day))
        with pytest.raises(BuildError, match="dim_players"):
            pipeline.run(editable_house)
    read = houses.lake_rows(
        editable_house, "select distinct lake_snapshot from lake.meta.model_state"
    )
    there = snapshots(editable_house)
    assert {shown, *(snapshot for (snapshot,) in read)} <= set(there)
    assert len(there) <= 6 + len(read)
    model.write_text(right)
    pipeline.run(editable_house)
    incremental = houses.marts(editable_house)
    assert houses.released_marts(editable_house) == incremental
    run_build(editable_house, exclude=NO_TESTS, full_refresh=True)
    assert houses.marts(editable_house) == incremental


def test_leftovers_go_and_what_is_in_use_stays(yard: Yard) -> None:
    home = yard.settings.home_folder
    old = time.time() - 40 * 24 * 3600
    leftovers = ("work/load/part", "dbt/logs/dbt.log.3", "releases/.7.duckdb.tmp", "writer.123")
    kept = ("work/sql_history", "dbt/logs/dbt.log", "work/spill/now")
    for name in (*leftovers, *kept):
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_text("x")
        if name != "work/spill/now":
            os.utime(home / name, (old, old))
    os.utime(home / "work/load", (old, old))
    removed = maintain(yard.settings).leftovers_removed
    assert removed == ("dbt/logs/dbt.log.3", "releases/.7.duckdb.tmp", "work/load", "writer.123")
    assert [name for name in (*leftovers, *kept) if (home / name).exists()] == list(kept)


@pytest.fixture(scope="module")
def undisturbed(_busy: Yard, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    yard = copy_of(_busy, tmp_path_factory.mktemp("undisturbed") / "data")
    maintain(yard.settings)
    return contents_without_times(yard.settings)


def contents_without_times(settings: Settings) -> dict[str, Any]:
    found = contents(settings)
    return {name: found[name][0] for name in found} | {
        "raw": houses.lake_rows(settings, "select id, name, _row from lake.raw.things order by all")
    }


@pytest.mark.parametrize("dry_run", [True, False])
def test_release_whose_maker_was_killed_before_it_had_its_name_keeps_all_of_its_files(
    house: Settings, dry_run: bool
) -> None:
    release(house)
    files = sorted(path.name for path in house.releases_folder.iterdir())
    assert len(files) == 3
    release_files.kept_path(house, 1).rename(release_files.temporary_path(house, 1))
    assert maintain(house, dry_run=dry_run).leftovers_removed == ()
    assert maintain(house).leftovers_removed == ()
    assert sorted(path.name for path in house.releases_folder.iterdir()) == files
    assert not release(house).is_new


@pytest.mark.parametrize("checkpoint", CHECKPOINTS)
def test_maintenance_killed_at_a_step_is_finished_by_the_next(
    yard: Yard, undisturbed: dict[str, Any], checkpoint: str
) -> None:
    killed = houses.python(
        yard.settings,
        "from boathouse.maintain import maintain\nmaintain(settings)",
        BOATHOUSE_KILL_AT=checkpoint,
        BOATHOUSE_KEEP_SNAPSHOTS_DAYS="0",
        BOATHOUSE_KEEP_FILES_HOURS="0",
    )
    _, said = killed.communicate(timeout=PATIENCE_SECONDS)
    assert killed.returncode == -signal.SIGKILL, said
    maintain(yard.settings)
    maintain(yard.settings)
    assert contents_without_times(yard.settings) == undisturbed
    assert on_disk(yard.settings) == in_catalog(yard.settings)
    check_promises(yard.settings)


def test_every_checkpoint_is_one() -> None:
    code = "".join(path.read_text() for path in (REPOSITORY / "boathouse/maintain").glob("*.py"))
    assert all(f'reached("{checkpoint}")' in code for checkpoint in CHECKPOINTS)


def test_row_that_vanishes_from_a_kept_snapshot_is_noticed(yard: Yard) -> None:
    kept = snapshots(yard.settings)
    with lake.connect(yard.settings) as opened:
        before = count(opened, states(opened, kept))
        require_same(before, before)
    with closing(sqlite3.connect(yard.settings.home_folder / "catalog.sqlite")) as con, con:
        con.execute(
            "delete from ducklake_data_file where begin_snapshot = (select max(begin_snapshot) "
            "from ducklake_data_file where table_id = (select table_id from ducklake_table "
            "where table_name = 'things' and schema_id = (select schema_id from ducklake_schema "
            "where schema_name = 'raw')))"
        )
    with lake.connect(yard.settings) as opened, pytest.raises(LakeError, match=r"raw\.things at"):
        require_same(before, count(opened, before))


def test_states_are_thinned_at_even_distances_with_both_ends(yard: Yard) -> None:
    kept = snapshots(yard.settings)
    with lake.connect(yard.settings, read_only=True) as opened:
        every = states(opened, kept)
        some = states(opened, kept, most=len(every) // 3)
    assert set(some) < set(every)
    raw = [state for state in every if (state.schema, state.table) == ("raw", "things")]
    assert {min(raw), max(raw)} <= set(some)
    assert len(raw) >= 4


@pytest.mark.parametrize("dry_run", [False, True])
def test_damaged_file_stops_maintenance_before_anything_is_deleted(
    yard: Yard, dry_run: bool
) -> None:
    victim = Path(max(in_catalog(yard.settings)))
    victim.write_bytes(victim.read_bytes()[:-1])
    orphan = Path(yard.settings.data_path, "raw", "orphan.parquet")
    orphan.write_text("left behind")
    with pytest.raises(LakeError, match=victim.name):
        maintain(yard.settings, dry_run=dry_run)
    assert orphan.exists()


def test_file_in_use_is_never_deleted(tmp_path: Path) -> None:
    used = lake_files.LakeFile("raw.things", str(tmp_path / "lake/raw/a.parquet"), 1, 1, True)
    require_unused([str(tmp_path / "lake/raw/b.parquet")], [used])
    with pytest.raises(LakeError, match=r"raw\.things"):
        require_unused([str(tmp_path / "lake/./raw/a.parquet")], [used])


def test_no_file_goes_while_a_backup_is_made(yard: Yard) -> None:
    orphan = Path(yard.settings.data_path, "raw", "orphan.parquet")
    orphan.write_text("left behind")
    with files_lock(yard.settings):
        report = maintain(yard.settings)
    assert "backup" in report.postponed and orphan.exists()
    assert maintain(yard.settings).orphans_removed == (str(orphan),)


def test_home_without_a_lake_is_an_error_with_a_hint(settings: Settings) -> None:
    with pytest.raises(LakeError, match="no lake") as raised:
        maintain(settings)
    assert "boathouse run" in raised.value.hint


def test_kept_releases_keep_their_snapshots_and_models_go_on_as_before(house: Settings) -> None:
    settings = at_once(house)
    release(settings)
    houses.add_events(settings, houses.sessions(range(60, 70), day=1))
    run_build(settings, select=["source:raw.session_events+"], exclude=NO_TESTS)
    shown = list_releases(settings)[0].lake_snapshot
    before = contents(settings, shown)
    changes = houses.lake_rows(settings, 'select count(*) from lake.changes."marts.fct_sessions"')
    report = maintain(settings)
    assert contents(settings, shown) == before
    assert report.pruned["changes.marts.fct_sessions"] == changes[0][0] > 0
    assert snapshots(settings)[0] == shown

    # Late data for old keys: followers must see it through what is noted from now on.
    houses.add_events(settings, houses.sessions(range(50, 75), day=2))
    run_build(settings, select=["source:raw.session_events+"], exclude=NO_TESTS)
    incremental = houses.marts(settings)
    run_build(settings, select=["source:raw.session_events+"], exclude=NO_TESTS, full_refresh=True)
    assert houses.marts(settings) == incremental


def test_follower_that_comes_back_after_pruning_computes_everything_anew(house: Settings) -> None:
    settings = at_once(house)
    follower = "rpt_sessions_by_country_hour"
    houses.execute(settings, f"delete from lake.meta.nodes where name = '{follower}'")
    houses.add_events(settings, houses.sessions(range(60, 70), day=1))
    run_build(settings, select=["fct_sessions"], exclude=NO_TESTS)
    houses.execute(settings, f"delete from lake.meta.nodes where name = '{follower}'")
    others = ("fct_sessions", "dim_players", "int_sessions__country_days")
    names = ", ".join(f"'{name}'" for name in others)
    houses.execute(
        settings,
        "update lake.meta.model_state set lake_snapshot = "
        "(select max(snapshot_id) from ducklake_snapshots('lake')) "
        f"where split_part(model, '.', 3) in ({names})",
    )
    assert maintain(settings).pruned["changes.marts.fct_sessions"] > 0
    run_build(settings, select=[follower], exclude=NO_TESTS)
    incremental = houses.marts(settings)[follower]
    run_build(settings, select=[follower], exclude=NO_TESTS, full_refresh=True)
    assert houses.marts(settings)[follower] == incremental
