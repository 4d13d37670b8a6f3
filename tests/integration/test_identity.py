"""Home, lake, catalogue, look-ups and releases know that they belong together."""

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import duckdb
import houses
import pytest
from support.command import House
from support.homes import REPOSITORY

from boathouse import doctor, identity, lake, lock, pipeline, status
from boathouse.adoption import adopt
from boathouse.cli import environments, upkeep  # noqa: F401  # their commands join those of `app`
from boathouse.cli.commands import app
from boathouse.contracts import load_contracts
from boathouse.environments import create
from boathouse.environments.place import of_name
from boathouse.errors import BoathouseError, IdentityError, LakeError, ReleaseError
from boathouse.ingest.loader import load
from boathouse.maintain import maintain
from boathouse.maintain.removal import remove_files
from boathouse.query import open_for_queries
from boathouse.release import checksums, list_releases, lookups, release, rollback
from boathouse.release.reading import OpenRelease, Warehouse
from boathouse.settings import Settings

AT_ONCE = {"keep_snapshots_days": 0, "keep_files_hours": 0}
EVENT = (
    b'{"event": "start", "country": "PK", "player_id": "p1", "session_id": "new", '
    b'"ts": "2016-12-03T00:00:00"}\n'
)


@pytest.fixture(autouse=True)
def _kept_attached() -> None:
    """Attach the lake anew for each command: catalogues change their places here."""


def catalog(settings: Settings) -> Path:
    path = settings.catalog_file
    assert path is not None
    return path


def in_catalog(settings: Settings, *statements: str) -> None:
    with closing(sqlite3.connect(catalog(settings))) as con, con:
        for statement in statements:
            con.execute(statement)


def files_of(settings: Settings) -> set[str]:
    """Return all Parquet files, releases and what waits, below the home."""
    kept = ("lake", "releases", "archive", "landing")
    return {
        path.relative_to(settings.home_folder).as_posix()
        for name in kept
        for path in (settings.home_folder / name).rglob("*")
        if path.is_file()
    }


def without_identity(settings: Settings) -> Settings:
    """Make a home as it was before there were identities."""
    (settings.home_folder / identity.FILE).unlink()
    Path(settings.data_path, identity.FILE).unlink()
    in_catalog(settings, "delete from ducklake_metadata where key like 'boathouse%'")
    for path in settings.releases_folder.glob("*.duckdb"):
        for each in (path, lookups.beside(path)):
            each.chmod(0o644)
        with duckdb.connect(str(path)) as con:
            con.execute("alter table meta.release drop column lake")
            con.execute("alter table meta.release drop column format")
        with closing(sqlite3.connect(lookups.beside(path))) as looked_up, looked_up:
            looked_up.execute("drop table owner")
        checksums.beside(path).unlink()
    return settings


def carried(settings: Settings, *, with_releases: bool = True) -> set[str]:
    """Return the identities that home, lake, catalogue, releases and look-ups carry."""
    marked = (settings.home_folder / identity.FILE, Path(settings.data_path, identity.FILE))
    found = {json.loads(path.read_text())["lake"] for path in marked}
    query = "select value from __ducklake_metadata_lake.ducklake_metadata where key = '{}'"
    found |= {value for (value,) in houses.lake_rows(settings, query.format("boathouse_lake"))}
    for each in list_releases(settings) if with_releases else []:
        with closing(sqlite3.connect(lookups.beside(each.path))) as con:
            found |= {lake for (lake,) in con.execute("select lake from owner")}
        found.add(str(each.lake))
    return found


def require_refused(settings: Settings, match: str) -> None:
    """Check that nobody writes, that nothing goes, and that every face says why."""
    houses.put(settings, "session_events", "session_events_waits.jsonl", EVENT)
    before = files_of(settings)
    contracts = load_contracts(settings.project)
    for command in (
        lambda: load(settings, contracts),
        lambda: pipeline.run(settings),
        lambda: release(settings),
        lambda: maintain(settings.model_copy(update=AT_ONCE)),
        lambda: houses.execute(settings, "create table lake.raw.mine (n integer)"),
    ):
        with pytest.raises(IdentityError, match=match) as raised:
            command()
        assert "BOATHOUSE_CATALOG" in raised.value.hint
    assert files_of(settings) == before
    found = doctor.diagnose(settings)
    assert any(match in each.what for each in found.findings if each.level == "problem")
    assert any(match in blocker for blocker in status.collect(settings).blockers)
    (settings.landing_folder / "session_events" / "session_events_waits.jsonl").unlink()


def typo(settings: Settings) -> Settings:
    path = settings.home_folder / "catalogue.sqlite"
    return settings.model_copy(update={"catalog": f"sqlite:{path}"})


def lost(settings: Settings) -> Settings:
    for path in settings.home_folder.glob("catalog.sqlite*"):
        path.unlink()
    return settings


def emptied(settings: Settings) -> Settings:
    lost(settings)
    catalog(settings).touch()
    return settings


def foreign(settings: Settings) -> Settings:
    lost(settings)
    in_catalog(settings, "create table something (else_ integer)")
    return settings


def new(settings: Settings) -> Settings:
    """Put a catalogue there that was made for a lake in this folder, and never used."""
    lost(settings)
    with lake._idle.engine(lake.config(settings)) as con:
        lake._prepare(con, settings, read_only=False)
        con.execute(lake._attach_statement(settings, read_only=False, may_create=True))
    return settings


@pytest.mark.parametrize("is_old", [False, True])
@pytest.mark.parametrize("wrong", [typo, lost, emptied, foreign, new])
def test_catalogue_that_holds_nothing_is_not_taken_for_a_new_lake(
    home: Settings, wrong: Callable[[Settings], Settings], is_old: bool
) -> None:
    if is_old:
        without_identity(home)
    right = shutil.copy(catalog(home), home.home_folder.parent / "right.sqlite")
    settings = wrong(home)
    require_refused(settings, "is not there, or holds nothing")
    assert settings is home or not catalog(settings).exists()
    assert rollback(settings, 1).release_id == 1  # readers are served
    lost(home)
    shutil.copy(right, catalog(home))
    assert release(home).is_new == is_old  # whose look-ups are made anew
    assert maintain(home.model_copy(update=AT_ONCE)).orphans_removed == ()
    assert len(carried(home, with_releases=False)) == 1


def test_lake_of_another_home_is_not_written_in(tmp_path: Path, settings: Settings) -> None:
    files = str(tmp_path / "files")
    one = settings.model_copy(update={"lake": files})
    houses.execute(one, "create schema lake.raw", "create table lake.raw.t as select 1 as n")
    for catalogue in ("", f"sqlite:{tmp_path / 'other.sqlite'}"):
        other = one.model_copy(update={"home": tmp_path / "other", "catalog": catalogue})
        with pytest.raises(IdentityError, match="is not there, or holds nothing"):
            houses.execute(other, "create schema lake.raw")
    assert houses.lake_rows(one, "from lake.raw.t") == [(1,)]


def test_parts_of_two_lakes_are_not_joined(tmp_path: Path, settings: Settings) -> None:
    one = settings.model_copy(update={"home": tmp_path / "one"})
    two = settings.model_copy(update={"home": tmp_path / "two"})
    for each in (one, two):
        houses.execute(each, "create schema lake.raw", "create table lake.raw.t as select 1 as n")
    shutil.copy(catalog(two), catalog(one))
    in_catalog(
        one, f"update ducklake_metadata set value = '{one.data_path}/' where key = 'data_path'"
    )
    for read_only in (False, True):
        with (
            pytest.raises(IdentityError, match="do not belong together"),
            lake.connect(one, read_only=read_only),
        ):
            pass
    with pytest.raises(IdentityError, match="do not belong together"):
        adopt(one)


def test_every_part_of_a_lake_carries_its_identity(home: Settings) -> None:
    assert len(carried(home)) == 1
    told = json.loads((home.home_folder / identity.FILE).read_text())
    assert told["format"] == identity.FORMAT


def test_home_from_before_there_were_identities_is_taken_in(home: Settings) -> None:
    without_identity(home)
    upgraded = release(home)
    assert upgraded.is_new and all(mart.rows_written == 0 for mart in upgraded.marts)
    assert len(carried(home, with_releases=False)) == 1
    houses.execute(home, "delete from lake.marts.fct_sessions where session_id = 's1'")
    assert release(home).release.lake in carried(home, with_releases=False)


@pytest.mark.parametrize("step", ["catalogue-marked", "lake-marked"])
@pytest.mark.parametrize("is_new", [False, True])
def test_killed_while_identities_are_given_the_next_command_goes_on(
    home: Settings, tmp_path: Path, step: str, is_new: bool
) -> None:
    if is_new:
        home = home.model_copy(update={"home": tmp_path / "new"})
    else:
        without_identity(home)
    done = subprocess.run(
        [sys.executable, "-m", "boathouse", "load"],
        env={
            **os.environ,
            "PYTHONPATH": str(REPOSITORY),
            "BOATHOUSE_PROJECT": str(home.project),
            "BOATHOUSE_HOME": str(home.home_folder),
            "BOATHOUSE_KILL_AT": f"identity:{step}",
        },
        check=False,
    )
    assert done.returncode == -9
    assert identity.of_home(home) is None
    load(home, load_contracts(home.project))
    assert len(carried(home, with_releases=False)) == 1


def older(settings: Settings) -> None:
    """Put back the catalogue from before something was loaded and released."""
    kept = shutil.copy(catalog(settings), settings.home_folder.parent / "older.sqlite")
    houses.put(settings, "session_events", "session_events_day.jsonl", EVENT)
    with lock.writer(settings, "a test"):
        loaded = load(settings, load_contracts(settings.project))
    assert loaded.sources["session_events"].rows_loaded == 1
    lost(settings)
    shutil.copy(kept, catalog(settings))


def test_older_catalogue_is_noticed_and_gone_on_from_when_told(home: Settings) -> None:
    older(home)
    require_refused(home, "is older than what was made with it")
    assert "boathouse adopt" in status.collect(home).blockers[0]
    told = adopt(home)
    assert "older" in told.was_refused and {told.lake} == carried(home)
    assert not release(home).is_new
    assert doctor.diagnose(home).is_well
    # What it does not know of is there to be loaded again.
    (original,) = home.archive_folder.rglob("session_events_day.jsonl")
    shutil.copy(original, home.landing_folder / "session_events")
    loaded = load(home, load_contracts(home.project))
    assert loaded.sources["session_events"].rows_loaded == 1


def test_older_catalogue_is_noticed_when_its_snapshots_have_passed_those_of_the_home(
    home: Settings,
) -> None:
    older(home)
    seen = identity.of_home(home)
    assert seen is not None
    (home.home_folder / identity.FILE).rename(home.home_folder / "aside")
    shutil.move(home.archive_folder, home.home_folder / "aside-archive")
    for number in range(9):
        houses.execute(home, f"create or replace table lake.meta.t as select {number} as n")
    (home.home_folder / "aside").rename(home.home_folder / identity.FILE)
    shutil.move(home.home_folder / "aside-archive", home.archive_folder)
    require_refused(home, f"has seen snapshot {seen.snapshot} of")


def test_older_catalogue_is_noticed_by_what_lies_in_a_home_that_has_noted_nothing(
    home: Settings,
) -> None:
    older(home)
    (home.home_folder / identity.FILE).unlink()
    require_refused(home, "has files of load")
    shutil.rmtree(home.archive_folder)
    kept = shutil.copy(catalog(home), home.home_folder.parent / "older.sqlite")
    houses.execute(home, "delete from lake.marts.fct_sessions where session_id = 's1'")
    release(home)
    lost(home)
    shutil.copy(kept, catalog(home))
    (home.home_folder / identity.FILE).unlink()
    require_refused(home, "release 2 shows a snapshot")


def test_catalogue_from_before_there_were_identities_is_not_taken_in_again(home: Settings) -> None:
    in_catalog(home, "delete from ducklake_metadata where key like 'boathouse%'")
    require_refused(home, "does not say which lake it is of")
    assert {adopt(home).lake} == carried(home)


def test_catalogue_whose_files_are_gone_is_not_gone_on_from(home: Settings) -> None:
    older(home)
    next((Path(home.data_path) / "marts").rglob("*.parquet")).unlink()
    with pytest.raises(LakeError, match="missing or damaged"):
        adopt(home)
    require_refused(home, "older")


def test_lost_folder_of_files_is_not_made_anew(home: Settings) -> None:
    Path(home.data_path).rename(home.home_folder / "elsewhere")
    require_refused(home, "has none of the files")


def mark_home(settings: Settings) -> None:
    path = settings.home_folder / identity.FILE
    path.write_text(json.dumps({**json.loads(path.read_text()), "format": identity.FORMAT + 1}))


def mark_lake(settings: Settings) -> None:
    path = Path(settings.data_path) / identity.FILE
    path.write_text(json.dumps({**json.loads(path.read_text()), "format": identity.FORMAT + 1}))


def mark_catalog(settings: Settings) -> None:
    newer = identity.FORMAT + 1
    in_catalog(
        settings, f"update ducklake_metadata set value = '{newer}' where key = 'boathouse_format'"
    )


def mark_release(settings: Settings) -> None:
    path = settings.releases_folder / "1.duckdb"
    path.chmod(0o644)
    with duckdb.connect(str(path)) as con:
        con.execute(f"update meta.release set format = {identity.FORMAT + 1}")


@pytest.mark.parametrize("part", [mark_home, mark_lake, mark_catalog, mark_release])
def test_what_a_newer_version_has_written_is_refused_by_name(
    home: Settings, part: Callable[[Settings], None]
) -> None:
    part(home)
    told = f"newer Boathouse (format {identity.FORMAT + 1}; this one knows up to {identity.FORMAT})"
    with pytest.raises(IdentityError) as raised:
        release(home)
    assert told in raised.value.message
    assert any(told in each.what for each in doctor.diagnose(home).findings)


def test_release_of_a_newer_version_is_shown_to_nobody(home: Settings) -> None:
    mark_release(home)
    warehouse = Warehouse(home, OpenRelease, "test")
    for show in (
        warehouse.current,  # the API and the dashboard
        lambda: warehouse.kept(1),
        lambda: rollback(home, 1),
        lambda: status.collect(home),
        lambda: open_for_queries(home).__enter__(),
    ):
        with pytest.raises(IdentityError, match="written by a newer Boathouse") as raised:
            show()
        assert "Use that version" in raised.value.hint


def test_environment_of_a_newer_home_is_not_made(home: Settings) -> None:
    mark_catalog(home)
    with pytest.raises(IdentityError, match="written by a newer Boathouse"):
        create(home, "dev")
    assert not (home.home_folder / "environments").exists()


def test_torn_note_of_the_home_is_written_anew(home: Settings) -> None:
    (home.home_folder / identity.FILE).write_text("")
    release(home)
    assert len(carried(home)) == 1


def test_environment_is_a_lake_of_its_own(home: Settings) -> None:
    create(home, "dev")
    dev = of_name(home, "dev")
    assert dev is not None
    release(dev)
    assert len(carried(dev)) == len(carried(home)) == 1
    assert carried(dev).isdisjoint(carried(home))
    shutil.copy(dev.releases_folder / "2.duckdb", home.releases_folder)
    for command in (lambda: release(home), lambda: rollback(home), lambda: list_releases(home)):
        with pytest.raises(IdentityError, match="is of lake"):
            command()
    with pytest.raises(IdentityError, match="is of lake"):
        Warehouse(home, OpenRelease, "test").kept(2)


def test_look_ups_of_another_release_are_not_answered_from_and_made_anew(home: Settings) -> None:
    houses.execute(home, "delete from lake.marts.fct_sessions where session_id = 's1'")
    info = release(home).release
    first, second = (lookups.beside(home.releases_folder / f"{n}.duckdb") for n in (1, 2))
    second.unlink()
    shutil.copy(first, second)
    with pytest.raises(ReleaseError, match="are of another release"):
        lookups.Reader(second, (info.lake, 2))
    again = release(home).release
    assert again.release_id == 3
    lookups.Reader(lookups.beside(again.path), (again.lake, 3)).close()


def test_files_are_deleted_by_their_own_catalogue_alone(home: Settings) -> None:
    orphan = Path(home.data_path) / "orphan.parquet"
    orphan.write_bytes(b"PAR1")
    at_once = home.model_copy(update=AT_ONCE)
    theirs = identity.Mark(identity.new(), identity.FORMAT)
    with lock.writer(home, "a test"), lake.connect(at_once) as opened:
        ours = (Path(home.data_path) / identity.FILE).read_text()
        identity.write_folder(Path(home.data_path), theirs)
        with pytest.raises(IdentityError, match="No file was deleted"):
            remove_files(opened, at_once, dry_run=False)
        (Path(home.data_path) / identity.FILE).write_text(ours)
    assert orphan.exists()
    assert maintain(at_once).orphans_removed == (str(orphan),)


def damaged(settings: Settings) -> Settings:
    with catalog(settings).open("r+b") as file:
        file.write(bytes(100))
    return settings


@pytest.mark.parametrize(
    ("wrong", "said"), [(typo, "belongs to lake"), (damaged, "damaged")], ids=["typo", "damaged"]
)
def test_every_command_that_needs_the_catalogue_ends_with_what_is_wrong_with_it(
    home: Settings,
    wrong: Callable[[Settings], Settings],
    said: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before, settings = files_of(home), wrong(home)
    where = {"CATALOG": settings.catalog, "HOME": home.home_folder, "PROJECT": home.project}
    for name, value in where.items():
        monkeypatch.setenv(f"BOATHOUSE_{name}", str(value))
    for command in (
        *(["load"], ["build"], ["release"], ["run"], ["maintain"], ["audit"], ["adopt"]),
        *(["quarantine", "list"], ["quarantine", "replay"], ["env", "create", "dev"], ["backup"]),
        ["sql", "--lake", "from raw.session_events"],
    ):
        with pytest.raises(BoathouseError) as raised:
            app(command, standalone_mode=False)
        told = str(raised.value)
        assert said in told and ("boathouse restore" in told or "boathouse doctor" in told), told
    house = House(home.project, home.home_folder, {"BOATHOUSE_CATALOG": settings.catalog})
    assert said in house.boathouse("run", code=1).stderr
    findings = doctor.diagnose(settings).findings
    assert any(said in each.what and "boathouse restore" in each.to_do for each in findings)
    assert files_of(home) == before
    assert rollback(settings, 1).release_id == 1
    with open_for_queries(settings) as con:
        assert con.execute("select count(*) from marts.fct_sessions").fetchall() == [(60,)]
