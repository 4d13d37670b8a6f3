"""What older versions have written is upgraded by whoever first writes in it, and nothing is lost.

The homes are real ones, made by the code of their time: see `tests/golden/make.py`.
"""

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import duckdb
import houses
import pytest
from support.command import PATIENCE_SECONDS, House
from support.golden import DELIVERIES, OLDEST, unpack
from support.homes import copy_project

from boathouse import doctor, identity, lake, status
from boathouse.contracts import load_contracts
from boathouse.environments import create
from boathouse.environments.place import of_name
from boathouse.ingest.loader import load
from boathouse.query import open_for_queries
from boathouse.release import list_releases, lookups, release, rollback
from boathouse.release.about import read_base
from boathouse.settings import Settings

DOMAINS = ("sessions", "purchases", "vehicles")
# With the formats that they are in.
FORMATS = {"3b4bd81": 0, "757d761": 0, "cd4f959": 0, "03b784b": 0, "e122252": 1}
STEPS = ("copied", "kept", "marked", "rename_results", "complete_tables", "follow_relations")
REFUSED = "written by a newer boathouse"


@pytest.fixture(scope="module")
def projects(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Return what returns the project of some domains."""
    folder = tmp_path_factory.mktemp("projects")
    return cache(lambda *domains: copy_project(folder / "-".join(domains), domains))


@pytest.fixture(scope="module")
def project(projects: Callable[..., Path]) -> Path:
    return projects(*DOMAINS)


@pytest.fixture
def golden(project: Path, tmp_path: Path, request: pytest.FixtureRequest) -> House:
    """Return a house with the home that a commit has made."""
    return House(project, unpack(getattr(request, "param", OLDEST), tmp_path / "home"))


@pytest.fixture(scope="module")
def deliveries(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return unpack(DELIVERIES, tmp_path_factory.mktemp("deliveries"))


def deliver(house: House, deliveries: Path, day: str) -> None:
    shutil.copytree(deliveries / day, house.home / "landing", dirs_exist_ok=True)


@pytest.fixture(scope="module")
def clean(project: Path, deliveries: Path, tmp_path_factory: pytest.TempPathFactory) -> House:
    """Return a house of this version that was given everything, built once and released."""
    house = House(project, tmp_path_factory.mktemp("clean") / "home")
    for day in ("1", "2"):
        deliver(house, deliveries, day)
        load(house.settings, load_contracts(project))
    deliver(house, deliveries, "3")
    house.boathouse("run")
    return house


def upgrade(settings: Settings) -> None:
    with lake.connect(settings):
        pass


def marts(house: House, project: Path, *, released: bool) -> dict[str, list[tuple[Any, ...]]]:
    """Return the rows of a project's marts, without what tells when they were made."""
    names = [path.stem for path in (project / "models" / "marts").rglob("*.sql")]
    tables = house.in_lake(
        "select table_name, list(column_name order by column_index) from duckdb_columns() "
        f"where database_name = 'lake' and schema_name = 'marts' and table_name in {names} "
        "and not ends_with(column_name, 'loaded_at') and not starts_with(column_name, 'dbt_') "
        "group by table_name order by table_name"
    )
    ask, place = (house.released, "") if released else (house.in_lake, "lake.")
    return {
        name: ask(f"select {', '.join(columns)} from {place}marts.{name} order by all")
        for name, columns in tables
    }


def catalog_format(settings: Settings) -> int:
    with lake.connect(settings, read_only=True) as opened:
        return identity.look(opened.con, settings)[1].format


@pytest.mark.parametrize(
    ("golden", "domains"),
    # All of it once; the others, whose models go on from what they know, in part.
    [("3b4bd81", DOMAINS), ("03b784b", ["vehicles"]), ("e122252", ["sessions"])],
    indirect=["golden"],
)
def test_upgraded_home_goes_on_as_if_this_version_had_done_everything(
    golden: House,
    domains: Sequence[str],
    clean: House,
    deliveries: Path,
    projects: Callable[..., Path],
) -> None:
    project = projects(*domains)
    golden = replace(golden, project=project)
    deliver(golden, deliveries, "3")
    said = golden.boathouse("run").stderr
    assert f"to {identity.FORMAT}; the catalogue as it was is kept in" in said
    for released in (False, True):
        found = marts(golden, project, released=released)
        assert found == marts(clean, project, released=released) and len(found) >= 3
    problems = [each for each in doctor.diagnose(golden.settings).findings if each.level != "ok"]
    assert {each.area for each in problems} <= {"landing"}, problems
    newest, *older = list_releases(golden.settings)
    assert newest.is_current and len(older) == 2
    looked_up = lookups.Reader(lookups.beside(newest.path), (newest.lake, newest.release_id))
    assert {each.mart for each in looked_up.lookups} == {"fct_sessions"} & found.keys()
    looked_up.close()
    assert not release(golden.settings).is_new
    assert rollback(golden.settings).release_id == 2


def test_nothing_is_made_anew_in_an_upgraded_home_that_refuses_to(
    golden: House, deliveries: Path
) -> None:
    refusing = replace(golden, environment={"BOATHOUSE_REBUILD": "refuse"})
    deliver(golden, deliveries, "3")
    shown = marts(golden, golden.project, released=True)
    told = refusing.boathouse("run", code=1).stderr
    assert "has to be made anew" in told and "--full-refresh" in told
    assert marts(golden, golden.project, released=True) == shown
    golden.boathouse("run")
    assert marts(golden, golden.project, released=True) != shown
    refusing.boathouse("run")


@pytest.mark.parametrize(("golden", "written"), FORMATS.items(), indirect=["golden"])
def test_upgrade_changes_no_row_and_is_done_once(
    golden: House, written: int, capfd: pytest.CaptureFixture[str]
) -> None:
    settings = golden.settings
    assert catalog_format(settings) == written
    kept = ("meta.loads", "meta.rejected_rows", "meta.releases", "raw.purchases")
    before = {name: golden.in_lake(f"from lake.{name} order by all") for name in kept}
    shown = marts(golden, golden.project, released=True)
    upgrade(settings)
    assert capfd.readouterr().err.count("Upgraded ") == 1
    assert {name: golden.in_lake(f"from lake.{name} order by all") for name in kept} == before
    assert marts(golden, golden.project, released=False) == shown
    base = read_base(list_releases(settings)[0])
    # The next release starts from its tables, and makes look-ups anew.
    assert base is not None and base.written and not base.lookups
    upgrade(settings)
    assert "Upgraded" not in capfd.readouterr().err
    assert len(list((golden.home / "upgrades").iterdir())) == 1


def test_home_that_nobody_has_upgraded_is_read_and_says_what_to_do(golden: House) -> None:
    settings = golden.settings
    told = status.collect(settings)
    assert told.blockers == [
        f"{golden.home} was written by an older Boathouse: `boathouse run` upgrades it"
    ]
    assert sum(source.rows for source in told.sources) > 1000
    found = doctor.diagnose(settings)
    assert found.is_well and any("run` upgrades it" in each.what for each in found.findings)
    for on_lake in (False, True):
        with open_for_queries(settings, on_lake=on_lake) as con:
            assert con.sql("select count(*) from marts.fct_sessions").fetchall()[0][0] > 100
    assert rollback(settings, 1).release_id == 1
    assert status.collect(settings).current_release.release_id == 1


def meta(house: House) -> dict[str, list[tuple[Any, ...]]]:
    """Return all rows of Boathouse's own tables, and the names of the notes of changes."""
    names = house.in_lake(
        "select schema_name || '.' || table_name from duckdb_tables() "
        "where database_name = 'lake' and schema_name in ('meta', 'changes') order by all"
    )
    return {name: house.in_lake(f"from lake.{name} order by all") for (name,) in names}


def snapshots(catalog: Path) -> int:
    with closing(sqlite3.connect(catalog)) as con:
        return int(con.execute("select count(*) from ducklake_snapshot").fetchone()[0])


def test_upgrade_killed_at_every_step_in_turn_is_finished_by_the_next(
    golden: House, tmp_path: Path
) -> None:
    undisturbed = House(golden.project, tmp_path / "undisturbed")
    shutil.copytree(golden.home, undisturbed.home, symlinks=True)
    upgrade(undisturbed.settings)
    before = snapshots(golden.home / "catalog.sqlite")
    for step in STEPS:
        kill = {"BOATHOUSE_KILL_AT": f"upgrade:{step}"}
        golden.boathouse("release", code=-signal.SIGKILL, **kill)
        assert catalog_format(golden.settings) == 0
    home = identity.of_home(golden.settings)
    assert home is not None and home.format == identity.FORMAT  # so that older code stops
    golden.boathouse("release", code=1)  # nothing was built by this version's models
    assert catalog_format(golden.settings) == identity.FORMAT
    assert meta(golden) == meta(undisturbed)
    copies = list((golden.home / "upgrades").glob("*/catalog.sqlite"))
    assert len(copies) == 2  # one that nothing speaks of, and the one that was gone on from
    assert {snapshots(path) for path in copies} == {before}


def old(house: House, code: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command of the code that has made the first of the golden homes."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("BOATHOUSE_", "DBT_"))}
    ours = {
        "PYTHONPATH": str(code),
        "BOATHOUSE_HOME": str(house.home),
        "BOATHOUSE_SETTLE_SECONDS": "0",
    }
    return subprocess.run(
        [sys.executable, "-m", "boathouse", *arguments],
        cwd=code / "project",
        env={**kept, **ours},
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )


def test_code_from_before_formats_is_refused_by_name_until_its_catalogue_is_back(
    golden: House, deliveries: Path, tmp_path: Path
) -> None:
    code = unpack(f"{OLDEST}-code", tmp_path / "code")
    upgrade(golden.settings)
    deliver(golden, deliveries, "3")
    before = houses.lake_rows(golden.settings, "from ducklake_snapshots('lake')")
    for command in ("load", "release"):
        done = old(golden, code, command)
        assert done.returncode == 1 and REFUSED in done.stderr.lower(), done
    assert houses.lake_rows(golden.settings, "from ducklake_snapshots('lake')") == before
    done = old(golden, code, "rollback", "1")
    assert done.returncode == 0 and status.collect(golden.settings).current_release.release_id == 1

    (copy,) = (golden.home / "upgrades").iterdir()
    for path in golden.home.glob("catalog.sqlite-*"):
        path.unlink()
    shutil.copytree(copy, golden.home, dirs_exist_ok=True)
    done = old(golden, code, "load")
    assert done.returncode == 0, done
    upgrade(golden.settings)
    assert catalog_format(golden.settings) == identity.FORMAT


def test_code_from_before_formats_is_refused_in_a_home_of_this_version(clean: House) -> None:
    with (
        lake.connect(clean.settings, read_only=True) as opened,
        pytest.raises(duckdb.BinderException, match=REFUSED),
    ):
        # What its commands ask before they write.
        opened.rows("select coalesce(max(build_id), 0) from lake.meta.node_results")


def test_environment_of_an_older_home_is_upgraded_by_itself(golden: House) -> None:
    settings = golden.settings
    create(settings, "dev")
    dev = of_name(settings, "dev")
    assert dev is not None and catalog_format(dev) == 0
    upgrade(dev)
    assert (catalog_format(dev), catalog_format(settings)) == (identity.FORMAT, 0)


def test_environment_as_of_a_snapshot_from_before_the_upgrade_is_upgraded(golden: House) -> None:
    settings = golden.settings
    upgrade(settings)
    ((snapshot,),) = golden.in_lake("select min(lake_snapshot) from lake.meta.releases")
    create(settings, "then", from_snapshot=snapshot)
    create(settings, "now")
    then, now = of_name(settings, "then"), of_name(settings, "now")
    assert then is not None and now is not None
    assert (catalog_format(then), catalog_format(now)) == (0, identity.FORMAT)
    upgrade(then)
    states = "select count(*) from lake.meta.model_state where starts_with(model, 'lake.')"
    assert houses.lake_rows(then, states)[0][0] > 0
