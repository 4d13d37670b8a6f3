"""A full disk is called by its name, by whatever meets it; nothing is lost, and reading goes on."""

import json
import os
import subprocess
import sys
from typing import Any

import pytest
from support.command import PATIENCE_SECONDS
from support.homes import REPOSITORY
from support.mounts import on_small_disk

from boathouse.settings import Settings

# What everything is tried in: another process, for which `disk` is a small disk with a home on it.
SCRIPT = """
import json, os, shutil, sys
from pathlib import Path

import houses
from support.homes import clone
from test_damage import change
from test_identity import EVENT

from boathouse import doctor, lake, status
from boathouse.backup import backup, restore
from boathouse.errors import BoathouseError
from boathouse.ingest.loader import load
from boathouse.contracts import load_contracts
from boathouse.maintain import maintain
from boathouse.query import open_for_queries
from boathouse.release import current_release, release, rollback
from boathouse.settings import Settings
from boathouse.surroundings import as_expected

disk, project, template, outside = map(Path, sys.argv[1:])
settings = clone(Settings(project=project, home=template, settle_seconds=0), disk / "home")
houses.put(settings, "purchases", "purchases_2023-07-23.csv", b"PurchaseID,Product,User,Date\\n")
backup(settings, outside / "good")
change(settings)
release(settings)
change(settings, 2)
told = {}


def fill(left):
    free = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
    with (disk / "ballast").open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, free - left)


def tell(name, work):
    try:
        answer = ["done", str(work())]
    except Exception as error:
        found = error if isinstance(error, BoathouseError) else as_expected(error, settings)
        answer = [type(found or error).__name__, str(found or error)]
    told[name] = answer


def files():
    # Locks, and the names of those who could not take them, hold nothing.
    return sorted(
        str(path.relative_to(disk)) for path in disk.rglob("*")
        if path.is_file() and not path.name.startswith(("writer.", "backup.lock"))
        and "work" not in path.parts
    )


def asked(**how):
    with open_for_queries(settings, **how) as con:
        return con.execute("select count(*) from marts.fct_sessions").fetchall()[0][0]


def diagnosed():
    return [[each.area, each.level, each.what] for each in doctor.diagnose(settings).findings]


fill(0)
before = files()
tell("query", asked)
tell("query the lake", lambda: asked(on_lake=True))
tell("status", lambda: status.collect(settings).last_build.status)
told["doctor"] = diagnosed()
tell("load", lambda: load(settings, load_contracts(project)))
tell("maintain", lambda: maintain(settings))
tell("rollback", lambda: rollback(settings))
tell("backup", lambda: backup(settings, disk / "made"))
tell("packed backup", lambda: backup(settings, disk / "made.tar.gz"))
tell("restore", lambda: restore(settings, outside / "good", into=disk / "again"))
told["files"] = [before, files()]
(disk / "ballast").unlink()
fill(1_000_000)  # enough to begin with
tell("release", lambda: release(settings))
told["shown"] = current_release(settings).release_id
tell("large backup", lambda: backup(settings, disk / "made"))
told["files later"] = [before, files()]
(disk / "ballast").unlink()
tell("release with room", lambda: release(settings).release.release_id)
tell("query with room", asked)
afloat = Settings(
    project=project, home=outside / "home", lake=str(disk / "lake"), settle_seconds=0
)
event = EVENT.decode()
content = "".join(event.replace("new", f"new{n}") for n in range(2000)).encode()
houses.put(afloat, "session_events", "session_events_1.jsonl", content)
fill(2_000)
tell("load into a lake that lies there", lambda: load(afloat, load_contracts(project)))
told["waiting"] = len(list(afloat.landing_folder.rglob("*.jsonl")))
(disk / "ballast").unlink()
tell("load with room", lambda: load(afloat, load_contracts(project)).sources)
print(json.dumps(told))
"""


@pytest.fixture(scope="module")
def told(_released: Settings, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Return what everything has said on a disk that is full."""
    disk, outside = tmp_path_factory.mktemp("disk"), tmp_path_factory.mktemp("outside")
    arguments = [disk, _released.project, _released.home_folder, outside]
    done = subprocess.run(
        on_small_disk(disk, 64, [sys.executable, "-c", SCRIPT, *map(str, arguments)]),
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join(
                map(str, (REPOSITORY, REPOSITORY / "tests", REPOSITORY / "tests/integration"))
            ),
            "BOATHOUSE_HOME": str(disk / "home"),
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_SECONDS,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    found["disk"] = str(disk)
    return found


@pytest.mark.parametrize("name", ["query", "query the lake", "status"])
def test_what_only_reads_is_answered(told: dict[str, Any], name: str) -> None:
    assert told[name][0] == "done", told[name]


@pytest.mark.parametrize(
    "name",
    [
        *("load", "maintain", "rollback", "backup", "packed backup", "restore"),
        *("release", "large backup", "load into a lake that lies there"),
    ],
)
def test_what_writes_names_the_full_disk(told: dict[str, Any], name: str) -> None:
    kind, said = told[name]
    assert kind == "DiskFullError" and f"no space left on {told['disk']} (" in said, said
    assert "MB free" in said and "damaged" not in said and "backup>" not in said


@pytest.mark.parametrize("name", ["release", "restore", "large backup", "packed backup"])
def test_how_much_is_needed_is_told_where_it_is_known(told: dict[str, Any], name: str) -> None:
    assert any(word in told[name][1] for word in ("needs", "takes", "up to")), told[name]


def test_doctor_finds_the_disk_and_no_damage(told: dict[str, Any]) -> None:
    problems = [(area, what) for area, level, what in told["doctor"] if level == "problem"]
    assert [area for area, _ in problems] == ["disk"] and told["disk"] in problems[0][1]
    assert all(part in problems[0][1] for part in ("The lake's files take", "releases", "readers"))


def test_nothing_is_left_of_what_did_not_fit(told: dict[str, Any]) -> None:
    before, after = told["files"]
    assert after == before
    before, after = told["files later"]
    assert after == before
    assert told["shown"] == 2


def test_all_goes_on_once_there_is_room(told: dict[str, Any]) -> None:
    assert told["release with room"] == ["done", "3"]
    assert told["query with room"] == ["done", "62"]
    assert told["waiting"] == 1
    assert "rows_loaded=2000" in told["load with room"][1]
