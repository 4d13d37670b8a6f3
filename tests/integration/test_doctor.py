"""The doctor finds what is wrong, says what to do, changes nothing, and never breaks down."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import houses
import pytest

from boathouse import doctor, lock
from boathouse.doctor import Diagnosis, Level
from boathouse.settings import Settings

OLD = time.time() - 7200


def levels(found: Diagnosis) -> dict[str, Level]:
    """Return the worst level of each area."""
    order: list[Level] = ["ok", "warning", "problem"]
    worst: dict[str, Level] = {}
    for finding in found.findings:
        before = worst.get(finding.area, "ok")
        worst[finding.area] = max(before, finding.level, key=order.index)
    return worst


def everything(settings: Settings) -> dict[str, bytes]:
    home = settings.home_folder
    return {
        path.relative_to(home).as_posix(): path.read_bytes()
        for path in home.rglob("*")
        # SQLite keeps its books there while anybody reads.
        if path.is_file() and not path.name.endswith(("-shm", "-wal"))
    }


def test_healthy_home_is_well_and_stays_as_it_was(home: Settings) -> None:
    before = everything(home)
    found = doctor.diagnose(home)
    assert found.is_well and set(levels(found).values()) == {"ok"}, found
    assert everything(home) == before


def test_home_that_is_not_there_is_not_made(tmp_path: Path, home: Settings) -> None:
    nowhere = home.model_copy(update={"home": tmp_path / "nowhere"})
    found = doctor.diagnose(nowhere)
    assert found.is_well and levels(found)["catalogue"] == "warning"
    assert not (tmp_path / "nowhere").exists()


def some_file(settings: Settings) -> Path:
    return next((Path(settings.data_path) / "marts").rglob("*.parquet"))


def lose_file(settings: Settings) -> None:
    some_file(settings).unlink()


def cut_file(settings: Settings) -> None:
    some_file(settings).write_bytes(b"PAR1")


def lose_catalog(settings: Settings) -> None:
    for path in settings.home_folder.glob("catalog.sqlite*"):
        path.unlink()


def break_catalog(settings: Settings) -> None:
    (settings.home_folder / "catalog.sqlite").write_bytes(b"no database" * 1000)


def empty_catalog(settings: Settings) -> None:
    (settings.home_folder / "catalog.sqlite").write_bytes(b"")


def lose_folder(settings: Settings) -> None:
    Path(settings.data_path).rename(settings.home_folder / "elsewhere")


def replace_release(settings: Settings) -> None:
    settings.warehouse.unlink()
    settings.warehouse.write_bytes(b"no database")


def change_release(settings: Settings) -> None:
    import duckdb

    path = settings.warehouse
    path.chmod(0o644)
    with duckdb.connect(str(path)) as con:
        con.execute("delete from marts.fct_sessions where true")


def break_kept_release(settings: Settings) -> None:
    (settings.releases_folder / "2.duckdb").write_bytes(b"no database")


@pytest.mark.parametrize(
    ("damage", "area"),
    [
        (lose_file, "files"),
        (cut_file, "files"),
        (lose_folder, "files"),
        (lose_catalog, "catalogue"),
        (break_catalog, "catalogue"),
        (empty_catalog, "catalogue"),
        (replace_release, "release"),
        (change_release, "release"),
        (break_kept_release, "release"),
    ],
)
def test_damage_is_a_problem_with_something_to_do(
    home: Settings, damage: Callable[[Settings], None], area: str
) -> None:
    damage(home)
    before = everything(home)
    found = doctor.diagnose(home)
    assert not found.is_well and levels(found)[area] == "problem", found
    problems = [finding for finding in found.findings if finding.level == "problem"]
    assert all(finding.to_do for finding in problems), problems
    assert everything(home) == before


def test_orphans_and_files_that_wait_are_warnings(home: Settings) -> None:
    orphan = Path(home.data_path, "raw", "orphan.parquet")
    waiting = home.landing_folder / "purchases" / "purchases_2023-07-23.csv"
    refused = home.rejected / "purchases" / "refused.csv"
    for path in (orphan, waiting, refused):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
        os.utime(path, (OLD, OLD))
    (home.landing_folder / "nobodys").mkdir()
    found = doctor.diagnose(home)
    told = "\n".join(finding.what for finding in found.findings if finding.level == "warning")
    assert found.is_well
    assert all(word in told for word in ("orphan.parquet", waiting.name, "1 files were", "nobodys"))


def test_doctor_says_who_writes_and_does_not_wait(home: Settings) -> None:
    code = "import time\nlock.acquire(settings, 'a long build')\nprint('held', flush=True)\n"
    holder = houses.python(home, f"from boathouse import lock\n{code}time.sleep(600)")
    assert holder.stdout is not None and holder.stdout.readline() == "held\n"
    try:
        (finding,) = [each for each in doctor.diagnose(home).findings if each.area == "lock"]
        assert finding.level == "ok" and f"`a long build` (process {holder.pid}" in finding.what
        note = home.lock_file.with_suffix(".json")
        note.write_text(note.read_text().replace(f'"pid": {holder.pid}', '"pid": 4194304'))
        (finding,) = [each for each in doctor.diagnose(home).findings if each.area == "lock"]
        assert finding.level == "warning" and "has ended" in finding.what
    finally:
        holder.kill()
        holder.communicate()
    assert not lock.is_held(home)
