"""An environment is the lake as it was, and neither side can touch what the other one has."""

import errno
import hashlib
import os
import random
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import houses
import pytest
from support.command import House
from yards import quick_connections

from boathouse import environments, lake, lake_files, lock
from boathouse.backup import restore
from boathouse.build import run_build
from boathouse.errors import LakeBusyError, LakeError, UsageError
from boathouse.lake import Lake
from boathouse.maintain import maintain
from boathouse.release import current_release, release
from boathouse.settings import Settings

AT_ONCE = {"keep_snapshots_days": 0, "keep_files_hours": 0}


# Names of tables may have a dot.
QUOTED = "schema_name || '.\"' || {} || '\"'"


def contents(opened: Lake) -> dict[str, Any]:
    """Return columns, count and checksum of all tables and views, and what the macros are."""
    found: dict[str, Any] = dict(
        opened.rows(
            "select schema_name || '.' || function_name, macro_definition from duckdb_functions() "
            "where database_name = 'lake' and macro_definition is not null"
        )
    )
    for (name,) in opened.rows(
        f"select {QUOTED.format('table_name')} from duckdb_tables() where database_name = 'lake' "
        f"union all select {QUOTED.format('view_name')} from duckdb_views() "
        "where database_name = 'lake' and not internal"
    ):
        columns = opened.rows(f"describe lake.{name}")
        found[name] = columns, opened.rows(f"select count(*), sum(hash(t)) from lake.{name} as t")
    return found


def contents_of(settings: Settings, snapshot: int | None = None) -> dict[str, Any]:
    with lake.connect(settings, read_only=True, version=snapshot) as opened:
        return contents(opened)


def environment(settings: Settings, name: str) -> Settings:
    """Return the settings somebody gets who says BOATHOUSE_ENV."""
    return Settings(project=settings.project, home=settings.home, env=name, settle_seconds=0)


def snapshots(settings: Settings) -> list[int]:
    with lake.connect(settings, read_only=True) as opened:
        return [n for (n,) in opened.rows("select snapshot_id from ducklake_snapshots('lake')")]


def files(home: Path) -> dict[str, str]:
    """Return the checksum of every file of a home, without its environments and locks."""
    return {
        path.relative_to(home).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in home.rglob("*")
        if path.is_file()
        and path.relative_to(home).parts[0] not in ("environments", "backup.lock")
        and path.suffix not in (".sqlite-shm", ".sqlite-wal")
    }


# Of every kind that changes files or catalogue; `{n}` is another number each time.
STEPS = (
    "insert into lake.raw.t (a, b) select range + {n} * 1000, 'many' from range(40)",
    "insert into lake.raw.t (a, b) values ({n}, 'few'), ({n} + 1, 'few')",
    "delete from lake.raw.t where a % 7 = {n} % 7",
    "update lake.raw.t set b = 'changed {n}' where a % 11 = {n} % 11",
    "create or replace table lake.marts.m as select b, count(*) as n from lake.raw.t group by b",
    "create or replace view lake.marts.v as select a from lake.raw.t where a > {n}",
    "create or replace macro lake.marts.f(x) as x + {n}",
    "alter table lake.raw.t add column c_{n} integer default {n}",
    "create table lake.raw.only_{n} as select 1 as one",
    "drop table if exists lake.marts.m",
    "delete from lake.raw.t",
    "call ducklake_flush_inlined_data('lake')",
    "call ducklake_merge_adjacent_files('lake')",
    "call ducklake_rewrite_data_files('lake', delete_threshold => 0.001)",
)
BEFORE = (
    "create schema lake.raw",
    "create schema lake.marts",
    "create table lake.raw.t (a integer, b varchar)",
)
# A flush and a merge after rows of many snapshots: their files hold rows of all of them.
MIXING = (0, 0, 1, 1, 2, 3, 1, 3, 7, 1, 2, 11, 0, 0, 1, 1, 3, 11, 12, 2, 13, 12, 4, 5, 6, 8, 9)


@pytest.mark.parametrize("seed", [None, 1, 2, 3])
def test_an_environment_is_the_lake_as_of_its_snapshot_and_stays_so(
    settings: Settings, seed: int | None
) -> None:
    draw = random.Random(seed)
    order = MIXING if seed is None else draw.choices(range(len(STEPS)), k=25)
    with lake.connect(settings) as opened:
        for statement in (*BEFORE, *(STEPS[at].format(n=n) for n, at in enumerate(order))):
            opened.con.execute(statement)
    there = snapshots(settings)
    chosen = (6, 8, 11, 15, 18) if seed is None else draw.sample(there[3:], 3)
    before = files(settings.home_folder)
    rewritten = 0
    with quick_connections():
        for snapshot in chosen:
            made = environments.create(settings, f"at-{snapshot}", from_snapshot=snapshot)
            rewritten += made.files_rewritten
            inside = environment(settings, made.name)
            expected = contents_of(settings, snapshot)
            with lake.connect(inside) as opened:
                assert opened.current_snapshot() == snapshot
                assert contents(opened) == expected, snapshot
                # Its next snapshots have the numbers of the main home's later ones.
                opened.con.execute("create schema lake.own")
                opened.con.execute("create table lake.own.t (a integer)")
                while opened.current_snapshot() <= there[-1]:
                    opened.con.execute("insert into lake.own.t values (1)")
                opened.con.execute("drop schema lake.own cascade")
                assert contents(opened) == expected, snapshot
    assert files(settings.home_folder) == before
    assert rewritten > 0 or seed is not None


def lake_of(settings: Settings) -> set[str]:
    """Return the paths of the lake's files below its folder."""
    folder = Path(settings.data_path)
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*.parquet")}


def rewrite_everything(settings: Settings) -> None:
    """Let every file of the lake be replaced by another, and delete what is not used any more."""
    for _ in range(2):  # the second time because readers keep the last snapshot of the first
        tables = houses.lake_rows(
            settings,
            f"select {QUOTED.format('table_name')} from duckdb_tables() "
            "where database_name = 'lake'",
        )
        houses.execute(
            settings,
            *(
                f"create or replace table lake.{table} as from (from lake.{table})"
                for (table,) in tables
            ),
        )
        maintain(settings.model_copy(update=AT_ONCE))


def test_what_one_side_deletes_the_other_one_keeps(house: Settings) -> None:
    environments.create(house, "dev")
    inside = environment(house, "dev")
    assert contents_of(inside) == contents_of(house)
    shared = lake_of(inside)
    assert shared and shared <= lake_of(house)

    before, expected = files(house.home_folder), contents_of(house)
    rewrite_everything(inside)
    assert not shared & lake_of(inside)
    assert files(house.home_folder) == before
    assert contents_of(house) == expected

    environments.create(house, "other")
    other = environment(house, "other")
    expected = contents_of(other)
    (own,) = [e.bytes for e in environments.list_environments(house) if e.name == "other"]
    rewrite_everything(house)
    assert not shared & lake_of(house)
    assert lake_of(other) == shared
    assert contents_of(other) == expected
    with lake.connect(other, read_only=True) as opened:
        assert not lake_files.damaged(lake_files.referenced(opened, other))
    # What nobody else has any more, dropping it frees.
    (left,) = [e.bytes for e in environments.list_environments(house) if e.name == "other"]
    assert left >= own + sum((Path(other.data_path) / path).stat().st_size for path in shared)


def test_maintenance_meanwhile_takes_no_file_away(
    house: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = contents_of(house)
    wanted = lake_of(house)

    def meanwhile(step: str) -> None:
        if step == "env:catalog-copied":
            rewrite_everything(house)

    monkeypatch.setattr(sys.modules["boathouse.environments.create"], "reached", meanwhile)
    environments.create(house, "dev")
    assert contents_of(environment(house, "dev")) == expected
    rewrite_everything(house)
    assert not wanted & lake_of(house), "maintenance had nothing to delete"


def test_builds_and_releases_of_an_environment_go_on_from_the_snapshot_and_stay_in_it(
    house: Settings,
) -> None:
    release(house)
    environments.create(house, "dev")
    before = files(house.home_folder)
    inside = environment(house, "dev")
    assert current_release(inside) is None and not inside.landing_folder.exists()
    houses.add_events(inside, houses.sessions(range(60, 63)))
    run_build(inside, select=["source:raw.session_events+"]).require_green()
    rebuilt = "select rebuilt_snapshot from lake.meta.model_state where model = 'fct_sessions'"
    assert houses.lake_rows(inside, rebuilt) == houses.lake_rows(house, rebuilt)
    assert release(inside).is_new
    count = "select count(*) from marts.fct_sessions"
    assert houses.released_rows(inside, count) == [(63,)]
    assert houses.released_rows(house, count) == [(60,)]
    assert files(house.home_folder) == before


def test_only_the_modified_model_is_built_in_an_environment(editable_house: Settings) -> None:
    house = editable_house
    made = environments.create(house, "ci")
    before = files(house.home_folder)
    model = house.project / "models/marts/sessions/rpt_sessions_by_country.sql"
    model.write_text(model.read_text() + "\n-- edited\n")
    done = houses.dbt(
        house,
        *("build", "--select", "state:modified+", "--defer", "--state", str(made.state)),
        BOATHOUSE_ENV="ci",
        DBT_TARGET_PATH=str(house.project / "target"),
        DBT_LOG_PATH=str(house.project / "logs"),
    )
    assert done.returncode == 0, done.stdout
    inside = environment(house, "ci")
    built = "select name from lake.meta.build_results where build_id = 2 and kind = 'model'"
    assert houses.lake_rows(inside, built) == [("rpt_sessions_by_country",)]
    # What it refers to is the environment's own, which is what main had.
    rows = "select * from lake.marts.rpt_sessions_by_country order by all"
    assert houses.lake_rows(inside, rows) == houses.lake_rows(house, rows)
    assert files(house.home_folder) == before
    assert houses.lake_rows(house, "select max(build_id) from lake.meta.builds") == [(1,)]
    assert release(inside).is_new, "what was not built again counts as tested"


@pytest.mark.parametrize("step", ["env:catalog-copied", "env:files-linked", "env:written"])
def test_killed_while_it_is_made_there_is_none_and_the_next_one_is_whole(
    house: Settings, step: str
) -> None:
    person = House(house.project, house.home_folder)
    person.boathouse("env", "create", "dev", code=-signal.SIGKILL, BOATHOUSE_KILL_AT=step)
    assert environments.list_environments(house) == []
    with pytest.raises(UsageError, match="There is no environment 'dev'"):
        environment(house, "dev")
    environments.create(house, "dev")
    assert contents_of(environment(house, "dev")) == contents_of(house)
    folder = house.home_folder / "environments"
    assert {path.name for path in folder.iterdir()} == {".lock", "dev"}


def test_killed_while_it_is_dropped_it_is_gone(house: Settings) -> None:
    environments.create(house, "dev")
    person = House(house.project, house.home_folder)
    person.boathouse(
        *("env", "drop", "dev", "--yes"), code=-signal.SIGKILL, BOATHOUSE_KILL_AT="env:unnamed"
    )
    assert environments.list_environments(house) == []
    environments.create(house, "dev")
    environments.drop(house, "dev")
    assert {path.name for path in (house.home_folder / "environments").iterdir()} == {".lock"}


def test_an_environment_in_use_is_not_dropped(house: Settings) -> None:
    environments.create(house, "dev")
    inside = environment(house, "dev")
    with lock.writer(inside, "a test"), pytest.raises(LakeBusyError, match="dev is in use"):
        environments.drop(house, "dev")
    writing = "import sys, time; from boathouse import lock; from boathouse.settings import *\n"
    writing += "with lock.writer(Settings(), 'another'): print('held', flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", writing],
        env={
            **os.environ,
            "PYTHONPATH": str(Path(lake.__file__).parents[1]),
            "BOATHOUSE_HOME": str(house.home_folder),
            "BOATHOUSE_ENV": "dev",
        },
        cwd=house.project,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as other:
        assert other.stdout is not None and other.stdout.readline() == b"held\n"
        with pytest.raises(LakeBusyError, match=r"`another` \(process"):
            environments.drop(house, "dev")
        (listed,) = environments.list_environments(house)
        assert "another" in listed.writer
        other.communicate(b"\n")
    environments.drop(house, "dev")
    assert environments.list_environments(house) == []


def test_files_are_copied_where_no_link_can_be_made(
    house: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    made = environments.create(house, "dev")
    assert made.files_linked == 0 and made.files_copied > 0 and made.bytes_copied > 0
    assert contents_of(environment(house, "dev")) == contents_of(house)


@pytest.mark.parametrize("name", ["", "main", "Dev", "7", "../dev", "a/b", ".dev", "x" * 64])
def test_a_name_that_is_none_is_refused(house: Settings, name: str) -> None:
    with pytest.raises(UsageError, match="cannot be called"):
        environments.create(house, name)
    with pytest.raises(UsageError, match="cannot be called"):
        environments.drop(house, name)


def test_what_cannot_be_is_refused_with_the_reason(house: Settings, tmp_path: Path) -> None:
    environments.create(house, "dev")
    with pytest.raises(UsageError, match="is there already"):
        environments.create(house, "dev")
    with pytest.raises(UsageError, match="has no snapshot 9999"):
        environments.create(house, "other", from_snapshot=9999)
    with pytest.raises(UsageError, match="There is no environment 'other'"):
        environments.drop(house, "other")
    with pytest.raises(UsageError, match="is an environment itself"):
        environments.create(environment(house, "dev"), "other")
    with pytest.raises(UsageError, match="is an environment, and a backup makes a home"):
        restore(environment(house, "dev"), tmp_path / "backup", overwrite=True)
    with pytest.raises(LakeError, match="There is no lake"):
        environments.create(house.model_copy(update={"home": tmp_path / "empty"}), "dev")
    with pytest.raises(UsageError, match="PostgreSQL"):
        environments.create(house.model_copy(update={"catalog": "postgresql://x/y"}), "other")
    with pytest.raises(UsageError, match="object store"):
        environments.create(house.model_copy(update={"lake": "s3://bucket/lake"}), "other")


def test_a_damaged_lake_makes_no_environment(house: Settings) -> None:
    next(Path(house.data_path).rglob("*.parquet")).unlink()
    with pytest.raises(LakeError, match="missing or damaged"):
        environments.create(house, "dev")
    assert {path.name for path in (house.home_folder / "environments").iterdir()} == {".lock"}


def test_every_way_to_name_an_environment_leads_into_it_and_nowhere_else(
    house: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    environments.create(house, "dev")
    home = house.home_folder / "environments" / "dev"
    monkeypatch.setenv("BOATHOUSE_HOME", str(house.home_folder))
    monkeypatch.setenv("BOATHOUSE_ENV", "dev")
    # What is said of the main home does not lead out of the environment.
    monkeypatch.setenv("BOATHOUSE_CATALOG", "sqlite:/elsewhere/catalog.sqlite")
    monkeypatch.setenv("BOATHOUSE_LAKE", "/elsewhere/lake")
    inside = Settings(project=house.project)
    assert (inside.home_folder, inside.data_path) == (home, str(home / "lake"))
    assert inside.catalog_uri == f"sqlite:{home}/catalog.sqlite"
    # A process started inside is told the environment's home and still has the variable.
    monkeypatch.setenv("BOATHOUSE_HOME", str(home))
    assert Settings(project=house.project).home_folder == home
    monkeypatch.delenv("BOATHOUSE_ENV")
    with pytest.raises(UsageError, match="BOATHOUSE_CATALOG says otherwise"):
        Settings(project=house.project)
