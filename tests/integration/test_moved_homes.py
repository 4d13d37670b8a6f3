"""A home is one wherever it is moved, and two once it is copied; neither reaches for the other."""

import os
import shutil
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import houses
import pytest
from support.command import House
from support.homes import REPOSITORY
from support.mounts import on_read_only

from boathouse import doctor, lake, lake_files, lock, status
from boathouse.backup import backup, restore
from boathouse.build import run_build
from boathouse.errors import LakeError
from boathouse.maintain import maintain
from boathouse.release import current_release, release, rollback
from boathouse.settings import Settings

EVENTS = "select count(*) from lake.raw.session_events"
SESSIONS = "select count(*) from marts.fct_sessions"
AT_ONCE = {"keep_snapshots_days": 0, "keep_files_hours": 0}


def at(settings: Settings, home: Path) -> Settings:
    return settings.model_copy(update={"home": home})


def moved(settings: Settings, home: Path) -> Settings:
    settings.home_folder.rename(home)
    return at(settings, home)


def copied(settings: Settings, home: Path) -> Settings:
    """Copy a home as `cp -a` does."""
    subprocess.run(["cp", "-a", settings.home_folder, home], check=True)
    return at(settings, home)


def noted(settings: Settings) -> str:
    """Return where the catalogue says its files are."""
    query = "select value from __ducklake_metadata_lake.ducklake_metadata where key = 'data_path'"
    ((found,),) = houses.lake_rows(settings, query)
    return str(found)


def everything(home: Path) -> dict[str, tuple[int, int]]:
    return {
        path.relative_to(home).as_posix(): (path.stat().st_size, path.stat().st_mtime_ns)
        for path in home.rglob("*")
        if path.is_file() and not path.name.endswith(("-shm", "-wal"))
    }


def a_day(settings: Settings, day: int) -> None:
    """Load a day of five sessions, build it, and release it."""
    houses.add_events(settings, houses.sessions(range(1000 * day, 1000 * day + 5), day=day))
    run_build(settings, select=["source:raw.session_events+"]).require_green()
    release(settings)


def seen(settings: Settings) -> int:
    ((count,),) = houses.released_rows(settings, SESSIONS)
    return int(count)


def test_moved_home_goes_on_as_if_it_had_always_been_there(home: Settings, tmp_path: Path) -> None:
    here = moved(home, tmp_path / "two")
    assert houses.lake_rows(here, EVENTS) == [(120,)]
    assert doctor.diagnose(here).is_well
    a_day(here, 1)
    assert noted(here) == f"{here.home_folder}/lake/"
    assert seen(here) == 65
    assert rollback(here).release_id == 1 and seen(here) == 60
    maintain(here.model_copy(update=AT_ONCE))
    made = backup(here, tmp_path / "made")
    again = at(here, tmp_path / "again")
    restore(here, made.path, into=again.home)
    assert houses.marts(again) == houses.marts(here)
    assert doctor.diagnose(here).is_well and doctor.diagnose(again).is_well
    assert not home.home_folder.exists()


def test_copy_and_original_go_on_each_by_itself(
    home: Settings, _released: Settings, tmp_path: Path
) -> None:
    template = everything(_released.home_folder)  # whose copy the original is
    other = copied(home, tmp_path / "copy")
    two = ((home, 1, other), (other, 2, home))
    for settings, day, another in two:
        before = everything(another.home_folder)
        a_day(settings, day)
        maintain(settings.model_copy(update=AT_ONCE))
        assert everything(another.home_folder) == before
    for settings, day, another in two:
        before = everything(another.home_folder)
        houses.add_events(settings, houses.sessions(range(100), day=10 * day))
        assert everything(another.home_folder) == before
    for settings, day, _ in two:
        assert seen(settings) == 65
        assert houses.released_rows(
            settings, "select distinct session_date from marts.fct_sessions order by 1"
        ) == [(houses.START.date(),), (houses.START.date() + timedelta(days=day),)]
        assert houses.lake_rows(settings, EVENTS) == [(330,)]
        assert noted(settings) == f"{settings.home_folder}/lake/"
        assert doctor.diagnose(settings).is_well
        with lake.connect(settings, read_only=True) as opened:
            files = lake_files.referenced(opened, settings)
        assert all(Path(file.path).is_relative_to(settings.home_folder) for file in files)
    assert everything(_released.home_folder) == template


def test_copy_is_read_without_being_changed(home: Settings, tmp_path: Path) -> None:
    other = copied(home, tmp_path / "copy")
    before = everything(other.home_folder)
    assert houses.lake_rows(other, EVENTS) == [(120,)]
    assert status.collect(other).current_release is not None
    assert doctor.diagnose(other).is_well
    assert everything(other.home_folder) == before


def test_backup_of_a_home_that_was_only_moved_is_whole(home: Settings, tmp_path: Path) -> None:
    here = moved(home, tmp_path / "two")
    made = backup(here, tmp_path / "made.tar")
    again = at(here, tmp_path / "again")
    restore(here, made.path, into=again.home)
    assert houses.marts(again) == houses.marts(here)


def test_absolute_names_in_the_catalogue_move_with_the_home(home: Settings, tmp_path: Path) -> None:
    houses.execute(
        home,
        "create table lake.marts.added (n bigint)",
        f"copy (select 7::bigint as n) to '{home.data_path}/added.parquet' (format parquet)",
    )
    houses.execute(
        home,
        f"call ducklake_add_data_files('lake', 'added', '{home.data_path}/added.parquet', "
        "schema => 'marts')",
    )
    other = copied(home, tmp_path / "copy")
    houses.execute(other, "create table lake.meta.a_table (n integer)")
    for settings in (home, other):
        with lake.connect(settings, read_only=True) as opened:
            (file,) = [
                file.path
                for file in lake_files.referenced(opened, settings)
                if file.table == "marts.added"
            ]
        assert file == f"{settings.data_path}/added.parquet"
    Path(home.data_path, "added.parquet").unlink()
    assert houses.lake_rows(other, "from lake.marts.added") == [(7,)]


def test_unused_file_that_lies_elsewhere_is_forgotten_and_not_deleted(
    home: Settings, tmp_path: Path
) -> None:
    theirs = tmp_path / "theirs.parquet"
    theirs.write_bytes(b"PAR1")
    houses.execute(
        home,
        "insert into __ducklake_metadata_lake.ducklake_files_scheduled_for_deletion "
        f"values (999999, '{theirs}', false, now() - interval 9 day)",
    )
    report = maintain(home.model_copy(update=AT_ONCE))
    assert theirs.exists() and report.files_removed >= 0
    query = "from __ducklake_metadata_lake.ducklake_files_scheduled_for_deletion"
    assert not [row for row in houses.lake_rows(home, query) if str(theirs) in row]


def test_all_spellings_of_a_place_are_one_home(
    home: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    linked = tmp_path / "linked"
    linked.symlink_to(home.home_folder)
    (tmp_path / "sub").mkdir()
    around = Path(f"{tmp_path}/sub/../linked/")
    monkeypatch.chdir(tmp_path)
    by_project = home.model_copy(update={"project": tmp_path, "home": Path("data")})
    before = noted(home)
    for same in (at(home, linked), at(home, around), by_project):
        assert (same.home_folder, same.catalog_uri, same.data_path) == (
            home.home_folder,
            home.catalog_uri,
            home.data_path,
        )
        with lock.writer(home, "one"), lock.writer(same, "the same"):  # would wait for itself
            houses.execute(same, "create or replace table lake.meta.a_table (n integer)")
        assert doctor.diagnose(same).is_well
        assert noted(same) == before


def test_catalogue_that_names_the_linked_folder_is_left_as_it_is(
    home: Settings, tmp_path: Path
) -> None:
    linked = tmp_path / "linked"
    linked.symlink_to(home.home_folder)
    spelled = f"{linked}/lake/"
    houses.execute(
        home,
        "update __ducklake_metadata_lake.ducklake_metadata "
        f"set value = '{spelled}' where key = 'data_path'",
    )
    houses.execute(home, "create table lake.meta.a_table (n integer)")
    assert noted(home) == spelled and doctor.diagnose(home).is_well


@pytest.mark.parametrize("read_only", [True, False])
def test_lake_that_is_set_to_another_place_is_refused(
    home: Settings, tmp_path: Path, read_only: bool
) -> None:
    shutil.copytree(home.data_path, tmp_path / "files")
    for wrong in (str(tmp_path / "files"), "lakee"):
        elsewhere = home.model_copy(update={"lake": wrong})
        with (
            pytest.raises(LakeError, match="according to its catalogue") as raised,
            lake.connect(elsewhere, read_only=read_only),
        ):
            pass
        assert "BOATHOUSE_LAKE" in raised.value.hint
    assert noted(home) == f"{home.data_path}/"


def test_catalogue_of_the_original_is_not_taken_over_by_a_copy(
    home: Settings, tmp_path: Path
) -> None:
    other = copied(home, tmp_path / "copy").model_copy(update={"catalog": home.catalog_uri})
    with pytest.raises(LakeError, match="according to its catalogue"), lake.connect(other):
        pass
    assert noted(home) == f"{home.data_path}/"


def test_files_outside_the_home_belong_to_one_catalogue(tmp_path: Path, settings: Settings) -> None:
    outside = settings.model_copy(update={"lake": str(tmp_path / "files")})
    houses.execute(outside, "create schema lake.raw", "create table lake.raw.t as select 1 as n")
    other = copied(outside, tmp_path / "copy")
    with pytest.raises(LakeError, match="belong to the catalogue"), lake.connect(other):
        pass
    assert houses.lake_rows(other, "from lake.raw.t") == [(1,)]
    here = moved(outside, tmp_path / "two")
    houses.execute(here, "insert into lake.raw.t values (2)")
    with pytest.raises(LakeError, match="belong to the catalogue"), lake.connect(other):
        pass


def test_home_that_cannot_be_written_answers_all_that_only_reads(
    home: Settings, tmp_path: Path
) -> None:
    here = moved(home, tmp_path / "two")  # its catalogue names a place that is no more
    before = everything(here.home_folder)
    for folder, _, names in os.walk(here.home_folder):
        for name in [".", *names]:
            path = Path(folder, name)
            path.chmod(path.stat().st_mode & ~0o222)

    person = House(here.project, here.home_folder)
    try:
        for arguments, said in (
            (["sql", "--json", SESSIONS], "60"),
            (["sql", "--lake", "--json", EVENTS], "120"),
            (["status"], "Current release: 1"),
            (["releases"], "→"),
            (["doctor", "--deep"], "✓"),
            (["diff", "1", "1"], "Nothing differs"),
            (["backup", str(tmp_path / "made")], "made"),
        ):
            told = person.boathouse(*arguments, as_root=False).stdout
            assert said in told, (arguments, told)
        for command in ("run", "build", "release", "maintain"):
            told = person.boathouse(command, code=1, as_root=False).stderr
            assert "Nothing may be written" in told, (command, told)
        assert everything(here.home_folder) == before
    finally:
        for folder, _, _ in os.walk(here.home_folder):
            Path(folder).chmod(0o755)


READ = """
import sys
from pathlib import Path

from api.app import Api
from boathouse import lake
from boathouse.release.reading import OpenRelease, Warehouse
from boathouse.settings import Settings

project, home, user = map(Path, sys.argv[1:])
settings = Settings(project=project, home=home, memory_limit="64MiB")
assert settings.work.is_relative_to(user / ".cache/boathouse"), settings.work
with lake.connect(settings, read_only=True) as opened:
    opened.rows("select uuid() as u from range(2000000) order by u limit 1 offset 1999990")
assert Warehouse(settings, OpenRelease, "test").current().release_id == 1
(settings.work / "dashboard").mkdir()  # which it cannot do without
api = Api(settings)
api.look()
assert not api.service.releases.problem, api.service.releases.problem
try:
    (home / "x").touch()
except OSError as error:
    print(error.strerror)
"""


def test_read_only_disk_answers_the_api_the_dashboard_and_what_needs_more_than_memory(
    home: Settings, tmp_path: Path
) -> None:
    command = [sys.executable, "-c", READ, str(home.project), str(home.home_folder), str(tmp_path)]
    done = subprocess.run(
        on_read_only(home.home_folder, command),
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0 and "Read-only" in done.stdout, done.stderr


def test_copy_of_a_home_with_files_for_links_works_as_well(home: Settings, tmp_path: Path) -> None:
    shutil.copytree(home.home_folder, tmp_path / "copy")  # a link becomes a file
    other = at(home, tmp_path / "copy")
    current = current_release(other)
    assert current is not None and current.release_id == 1 and seen(other) == 60
    assert doctor.diagnose(other).is_well
    houses.execute(
        other,
        "insert into lake.marts.fct_sessions "
        "select * replace ('new' as session_id) from lake.marts.fct_sessions limit 1",
    )
    release(other)
    assert other.warehouse.is_symlink() and seen(other) == 61
    assert seen(home) == 60
