"""What a disk has changed is found, carried over into nothing, and made anew from the lake."""

import os
import random
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import duckdb
import houses
import pytest
from support.homes import clone
from yards import Yard

from boathouse import doctor, lake, lake_files
from boathouse.build import run_build
from boathouse.cli import show
from boathouse.doctor import Finding
from boathouse.errors import DamagedError, ReleaseError
from boathouse.query import QueryError, execute, open_for_queries
from boathouse.release import ReleaseReport, damage, lookups, release, rollback
from boathouse.settings import Settings

Harm = Callable[[Settings], None]
UNTOUCHED = "fct_purchase_versions"  # by `change`
HEADER_BYTES, BLOCK_BYTES = 12_288, 262_144  # of a DuckDB file


@pytest.fixture
def home(_released: Settings, tmp_path: Path) -> Settings:
    """Return a home with one release."""
    return clone(_released, tmp_path / "data")


def change(settings: Settings, number: int = 1) -> None:
    houses.execute(
        settings,
        f"insert into lake.marts.fct_sessions by name select 'n{number}' as session_id, "
        "'p1' as player_id, 'DE' as country, now()::timestamp as started_at, "
        "now()::timestamp as ended_at, 60 as duration_seconds, true as is_completed, "
        "false as has_clock_skew, date '2016-12-02' as session_date, "
        "now()::timestamp as first_loaded_at, now()::timestamp as last_loaded_at",
    )


def flip(path: Path, at: int, length: int = 64) -> None:
    """Change bytes in the middle of a file, as a disk does: nothing else of it changes."""
    path.chmod(0o644)
    with path.open("r+b") as file:
        file.seek(at)
        file.write(random.Random(at).randbytes(length))


def released_file(settings: Settings, release_id: int = 1) -> Path:
    return settings.releases_folder / f"{release_id}.duckdb"


def flip_block(settings: Settings) -> None:
    path = released_file(settings)
    query = (
        f"select min(block_id) from pragma_storage_info('marts.{UNTOUCHED}') where block_id >= 0"
    )
    ((block,),) = houses.released_rows(settings, query, path)
    flip(path, HEADER_BYTES + block * BLOCK_BYTES + 1000)


def change_value(settings: Settings) -> None:
    """Change a value in a way that DuckDB's own checksums do not tell."""
    path = released_file(settings)
    path.chmod(0o644)
    with duckdb.connect(str(path)) as con:
        con.execute(f"update marts.{UNTOUCHED} set product_id = 7777 where purchase_id = 1")


def cut(settings: Settings) -> None:
    path = released_file(settings)
    path.chmod(0o644)
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size - 4096)


def flip_lookups(settings: Settings) -> None:
    path = lookups.beside(released_file(settings))
    flip(path, path.stat().st_size // 2, 8192)


def change_lookups(settings: Settings) -> None:
    path = lookups.beside(released_file(settings))
    path.chmod(0o644)
    with closing(sqlite3.connect(path)) as con, con:
        con.execute("update \"fct_sessions.completed_sessions\" set country = 'XX'")


def looked_up(report: ReleaseReport, settings: Settings) -> bool:
    """Return whether the look-ups beside a release hold what its mart holds."""
    with closing(sqlite3.connect(lookups.beside(report.release.path))) as con:
        kept = con.execute(
            'select session_id, country from "fct_sessions.completed_sessions" order by 1'
        ).fetchall()
    query = "select session_id, country from marts.fct_sessions where is_completed order by 1"
    return kept == houses.released_rows(settings, query)


@pytest.mark.parametrize("harm", [flip_block, change_value, cut, flip_lookups, change_lookups])
def test_damage_is_not_carried_over_into_the_next_release(
    home: Settings, harm: Harm, capsys: pytest.CaptureFixture[str]
) -> None:
    harm(home)
    change(home)
    report = release(home, keep_rollback=True)  # as `boathouse run` does
    assert report.release.release_id == 2
    assert houses.released_marts(home) == houses.marts(home)
    assert looked_up(report, home)
    assert not damage.of_release(report.release)
    assert report.damaged
    show.release_report(report, home.warehouse)
    assert "was damaged on the disk, and was made anew" in capsys.readouterr().out


def damage_told(settings: Settings, words: str) -> list[Finding]:
    found = doctor.diagnose(settings, is_deep=True)
    return [each for each in found.findings if each.level == "problem" and words in each.what]


@pytest.mark.parametrize("harm", [flip_block, change_value, change_lookups])
def test_damaged_release_is_made_anew_when_somebody_asks(home: Settings, harm: Harm) -> None:
    harm(home)
    assert not release(home, keep_rollback=True).is_new, "there is nothing new"
    (told,) = damage_told(home, "Release 1 is damaged")
    assert "`boathouse release`" in told.to_do
    report = release(home)
    assert report.is_new and report.damaged
    assert houses.released_marts(home) == houses.marts(home)
    assert looked_up(report, home)
    assert not release(home).is_new


def test_copy_for_readers_that_the_disk_has_changed_is_given_anew(home: Settings) -> None:
    copied = home.warehouse.resolve()
    before = copied.stat()
    flip(copied, copied.stat().st_size // 2)
    os.utime(copied, ns=(before.st_atime_ns, before.st_mtime_ns))
    copied.chmod(0o444)
    (told,) = damage_told(home, str(home.warehouse))
    assert "`boathouse release`" in told.to_do
    assert not release(home).is_new
    assert not damage_told(home, str(home.warehouse))
    assert houses.released_marts(home) == houses.marts(home)


@pytest.mark.parametrize(
    ("harm", "named"), [(change_value, UNTOUCHED), (change_lookups, "1.lookups.sqlite")]
)
def test_damaged_release_is_not_rolled_back_to(home: Settings, harm: Harm, named: str) -> None:
    change(home)
    release(home)
    harm(home)
    with pytest.raises(ReleaseError, match=f"Release 1 is damaged: .*{named}"):
        rollback(home)
    assert houses.released_marts(home) == houses.marts(home), "release 2 is still there"
    (told,) = damage_told(home, "Release 1")
    assert str(released_file(home)) in told.to_do


def test_query_on_damage_says_who_knows_more(home: Settings) -> None:
    flip_block(home)
    with open_for_queries(home) as con, pytest.raises(QueryError) as raised:
        execute(con, f"create temp table copied as from marts.{UNTOUCHED}")
    assert "doctor --deep" in raised.value.hint


# Of the lake and the archive


def some_file(settings: Settings, table: str) -> Path:
    with lake.connect(settings, read_only=True) as opened:
        files = lake_files.referenced(opened, settings)
    return next(Path(file.path) for file in files if file.table == table)


def test_file_of_the_lake_that_cannot_be_read_is_told_by_reading(home: Settings) -> None:
    path = some_file(home, f"marts.{UNTOUCHED}")
    flip(path, 4, path.stat().st_size // 2)
    found = doctor.diagnose(home)
    assert found.is_well, "its size is what it was"
    (told,) = damage_told(home, str(path))
    assert f"--full-refresh --select {UNTOUCHED}`" in told.to_do
    of_raw = some_file(home, "raw.session_events")
    as_it_was = of_raw.read_bytes()
    of_raw.unlink()
    with pytest.raises(DamagedError, match=of_raw.name):
        houses.lake_rows(home, "from lake.raw.session_events")
    (told,) = damage_told(home, str(of_raw))
    assert "boathouse restore" in told.to_do
    of_raw.write_bytes(as_it_was)
    run_build(home, select=[UNTOUCHED], full_refresh=True).require_green()
    found = doctor.diagnose(home, is_deep=True)
    (told,) = [each for each in found.findings if str(path) in each.what]
    assert found.is_well and "expire" in told.to_do, "the lake's past still needs it"


def test_objects_are_compared_by_what_the_store_lists(home: Settings) -> None:
    with lake.connect(home, read_only=True) as opened:
        files = lake_files.referenced(opened, home)
        assert not lake_files.damaged_objects(opened, home, files)
        lost, cut, *_ = (Path(file.path) for file in files)
        lost.unlink()
        cut.write_bytes(b"PAR1")
        found = lake_files.damaged_objects(opened, home, files)
    assert [(each.file.path, each.said.split(",")[0]) for each in found] == [
        (str(lost), "it is not there"),
        (str(cut), "4 bytes"),
    ]


def test_mart_whose_values_have_become_others_is_told(home: Settings) -> None:
    # What a disk may do to a Parquet file: all of it can be read, and one value is another.
    path = some_file(home, f"marts.{UNTOUCHED}")
    with duckdb.connect() as con:
        con.execute(f"create table it as from read_parquet('{path}')")
        con.execute("update it set product_id = 7777 where purchase_id = 1")
        con.execute(f"copy it to '{path}' (format parquet)")
    size, footer = path.stat().st_size, int.from_bytes(path.read_bytes()[-8:-4], "little")
    with closing(sqlite3.connect(home.home_folder / "catalog.sqlite")) as catalog, catalog:
        catalog.execute(
            "update ducklake_data_file set file_size_bytes = ?, footer_size = ? where path = ?",
            (size, footer, path.name),
        )
    (told,) = damage_told(home, f"marts.{UNTOUCHED}")
    assert "than release 1" in told.what and f"--select {UNTOUCHED}`" in told.to_do


def test_originals_are_held_against_the_ledger(tmp_path: Path) -> None:
    yard = Yard(tmp_path).source()
    for name in ("a.csv", "b.csv", "c.csv"):
        yard.deliver(name, f"id,name,amount\n1,{name},1\n")
    yard.load()
    archived = {path.name: path for path in yard.settings.archive_folder.rglob("*.csv")}
    assert not [each for each in _of_archive(yard.settings) if each.level != "ok"]
    flip(archived["a.csv"], 0, 2)
    archived["b.csv"].unlink()
    changed, missing = _of_archive(yard.settings)
    assert changed.level == "problem" and "a.csv" in changed.what and "backup" in changed.to_do
    assert missing.level == "warning" and "b.csv" in missing.what


def _of_archive(settings: Settings) -> list[Finding]:
    found = doctor.diagnose(settings, is_deep=True)
    return [each for each in found.findings if each.area == "archive"]
