"""A backup made at any moment, restored, is the warehouse of that moment and goes on from it."""

import os
import shutil
import signal
import sys
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import houses
import pytest
from support.command import PATIENCE_SECONDS
from support.homes import REPOSITORY, clone
from yards import Yard, check_promises, quick_connections

from boathouse import lake, lock
from boathouse.backup import backup, restore
from boathouse.backup.contents import LIST, BackupError
from boathouse.errors import LakeError, LockTimeoutError, UsageError
from boathouse.ingest.loader import load
from boathouse.maintain import maintain
from boathouse.release import current_release, list_releases, release, rollback
from boathouse.settings import Settings

CHECKPOINTS = ("backup:catalog-copied", "restore:written", "restore:set-aside")
HEADER = "id,name,amount\n"
AT_ONCE = {"keep_snapshots_days": 0, "keep_files_hours": 0}


@pytest.fixture(scope="module")
def _loaded(tmp_path_factory: pytest.TempPathFactory) -> Yard:
    """Return a yard with loaded, rejected and waiting files."""
    yard = Yard(tmp_path_factory.mktemp("loaded")).source()
    yard.deliver("good.csv", HEADER + "".join(f"{n},name {n},{n}.5\n" for n in range(200)))
    yard.deliver("partly.csv", HEADER + "1,fine,1\nx,bad,2\n")
    yard.deliver("refused.csv", "id,nothing\n1,2\n")
    yard.load()
    yard.deliver("waiting.csv", HEADER + "7,waits,7\n")
    return yard


@pytest.fixture
def yard(_loaded: Yard, tmp_path: Path) -> Iterator[Yard]:
    """Return such a yard, of this test's own."""
    yard = Yard(tmp_path)
    yard.settings = clone(_loaded.settings, tmp_path / "data")
    with quick_connections():
        yield yard


def files(home: Path) -> dict[str, bytes]:
    folders = ("landing", "archive", "rejected", "lake", "releases")
    return {
        path.relative_to(home).as_posix(): path.read_bytes()
        for folder in folders
        for path in (home / folder).rglob("*")
        if path.is_file()
    }


def picture(settings: Settings) -> dict[str, Any]:
    return {
        "raw": houses.lake_rows(settings, "from lake.raw.things order by all"),
        "loads": houses.lake_rows(settings, "from lake.meta.loads order by all"),
        "rejects": houses.lake_rows(settings, "from lake.meta.rejected_rows order by all"),
        "files": files(settings.home_folder),
    }


def with_home(settings: Settings, home: Path) -> Settings:
    return settings.model_copy(update={"home": home})


@pytest.mark.parametrize("name", ["folder", "one.tar", "packed.tar.gz"])
def test_restored_home_is_the_same_and_goes_on(yard: Yard, tmp_path: Path, name: str) -> None:
    before = picture(yard.settings)
    made = backup(yard.settings, tmp_path / name)
    others = 2  # the catalogue, and which lake the home belongs to
    assert made.path == tmp_path / name and made.files == len(before["files"]) + others
    report = restore(yard.settings, made.path, into=tmp_path / "again")
    again = with_home(yard.settings, tmp_path / "again")
    assert report.set_aside is None and picture(again) == before
    yard.settings = again
    yard.deliver("good.csv", (again.archive_folder / "things/1/good.csv").read_bytes())
    loaded = yard.load().sources["things"]
    assert (loaded.files_duplicate, loaded.files_loaded, loaded.rows_loaded) == (1, 1, 1)
    assert not [path.name for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_backup_while_files_are_loaded_has_every_file_once(tmp_path: Path) -> None:
    yard = Yard(tmp_path, batch_files=1).source()
    for number in range(16):
        bad = "x,bad,1\n" if number % 3 else ""
        header = HEADER if number % 4 else "id,nothing\n"
        yard.deliver(f"file-{number:02}.csv", f"{header}{number},name,1\n{bad}")
    loading = houses.python(
        yard.settings,
        "from boathouse.contracts import load_contracts\n"
        "from boathouse.ingest.loader import load\n"
        "settings = settings.model_copy(update={'batch_files': 1})\n"
        "load(settings, load_contracts(settings.project))",
    )
    made = []
    while loading.poll() is None:
        with suppress(LakeError), quick_connections():  # until there is one
            made.append(backup(yard.settings, tmp_path / f"backup-{len(made)}").path)
    assert loading.returncode == 0, loading.communicate()
    assert made
    rows = "select id, name, amount, _file, _row from lake.raw.things order by all"
    wanted = houses.lake_rows(yard.settings, rows)
    ledger = "select file_name, status, rows_loaded from lake.meta.loads order by all"
    for number, path in enumerate({made[0], made[len(made) // 2]}):
        restored = with_home(yard.settings, tmp_path / f"restored-{number}")
        with quick_connections():
            restore(yard.settings, path, into=restored.home)
            load(restored, yard.contracts)
        check_promises(restored)
        assert houses.lake_rows(restored, rows) == wanted
        assert houses.lake_rows(restored, ledger) == houses.lake_rows(yard.settings, ledger)


def test_file_that_is_still_being_written_is_not_in_the_backup(yard: Yard, tmp_path: Path) -> None:
    with yard.path("half.csv").open("w") as writing:
        writing.write(HEADER)
        writing.flush()
        made = backup(yard.settings, tmp_path / "made")
    names = {path.name for path in (made.path / "landing").rglob("*")}
    assert "waiting.csv" in names and "half.csv" not in names


def test_home_with_data_is_only_set_aside_when_told(yard: Yard) -> None:
    made = backup(yard.settings)
    assert made.path.parent == yard.settings.home_folder / "backups"
    yard.load()
    before = picture(yard.settings)
    with pytest.raises(UsageError, match="has data"):
        restore(yard.settings, made.path)
    assert picture(yard.settings) == before
    report = restore(yard.settings, made.path, overwrite=True)
    assert report.set_aside is not None
    assert files(report.set_aside) == before["files"]
    assert (yard.settings.landing_folder / "things/waiting.csv").exists()
    assert (yard.settings.home_folder / "backups" / made.path.name / LIST).exists()


def test_homes_of_one_second_are_set_aside_one_beside_the_other(
    yard: Yard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = backup(yard.settings, tmp_path / "made")
    moments = iter(datetime(2026, 1, 1, microsecond=each, tzinfo=UTC) for each in (1, 2))
    clock = SimpleNamespace(now=lambda _: next(moments))
    monkeypatch.setattr(sys.modules[restore.__module__], "datetime", clock)
    aside = {restore(yard.settings, made.path, overwrite=True).set_aside for _ in range(2)}
    assert len(aside) == 2 and None not in aside


def test_home_is_not_set_aside_under_a_writer(yard: Yard, tmp_path: Path) -> None:
    made = backup(yard.settings, tmp_path / "made")
    code = (
        "import time\nfrom boathouse import lock\nlock.acquire(settings, 'a test')\n"
        "print('held', flush=True)\ntime.sleep(600)"
    )
    holder = houses.python(yard.settings, code)
    assert holder.stdout is not None and holder.stdout.readline() == "held\n"
    try:
        impatient = yard.settings.model_copy(update={"lock_timeout": 0.2})
        with pytest.raises(LockTimeoutError):
            restore(impatient, made.path, overwrite=True)
        assert lock.is_held(yard.settings)
    finally:
        holder.kill()
        holder.communicate()


@pytest.mark.parametrize("name", ["folder", "one.tar", "packed.tgz"])
def test_damaged_backup_is_refused_and_changes_nothing(
    yard: Yard, tmp_path: Path, name: str
) -> None:
    path = backup(yard.settings, tmp_path / name).path
    victim = path / "archive/things/1/good.csv" if path.is_dir() else path
    content = bytearray(victim.read_bytes())
    content[len(content) // 2] ^= 1
    victim.write_bytes(content)
    with pytest.raises(BackupError, match=r"damaged|no whole backup"):
        restore(yard.settings, path, into=tmp_path / "again")
    assert not (tmp_path / "again").exists()


@pytest.mark.parametrize("lost", ["archive/things/1/good.csv", "catalog.sqlite", LIST])
def test_backup_that_lacks_a_file_is_refused(yard: Yard, tmp_path: Path, lost: str) -> None:
    path = backup(yard.settings, tmp_path / "made").path
    (path / lost).unlink()
    with pytest.raises(BackupError, match=r"missing|no whole backup"):
        restore(yard.settings, path, into=tmp_path / "again")
    assert not (tmp_path / "again").exists()


def test_list_that_names_a_file_outside_the_home_is_refused(yard: Yard, tmp_path: Path) -> None:
    path = backup(yard.settings, tmp_path / "made").path
    listed = (path / LIST).read_text()
    (path / LIST).write_text(listed.replace('"catalog.sqlite"', '"../../catalog.sqlite"'))
    with pytest.raises(BackupError, match="not below the home"):
        restore(yard.settings, path, into=tmp_path / "again")


def test_lake_that_lacks_a_file_is_not_backed_up_as_if_it_were_whole(
    yard: Yard, tmp_path: Path
) -> None:
    yard.load()
    next(Path(yard.settings.data_path).rglob("*.parquet")).unlink()
    with pytest.raises(BackupError, match="missing or damaged"):
        backup(yard.settings, tmp_path / "made")
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("checkpoint", CHECKPOINTS)
def test_backup_or_restore_killed_at_a_step_is_done_by_the_next(
    yard: Yard, tmp_path: Path, checkpoint: str
) -> None:
    before = picture(yard.settings)
    home = tmp_path / "again"
    home.mkdir()
    (home / "note.txt").write_text("mine")
    code = (
        "from boathouse.backup import backup, restore\n"
        f"made = Path({str(tmp_path / 'made')!r})\n"
        f"backup(settings, made)\nrestore(settings, made, into=Path({str(home)!r}), overwrite=True)"
    )
    killed = houses.python(yard.settings, code, BOATHOUSE_KILL_AT=checkpoint)
    _, said = killed.communicate(timeout=PATIENCE_SECONDS)
    assert killed.returncode == -signal.SIGKILL, said
    if checkpoint.startswith("backup:"):
        assert not (tmp_path / "made").exists() and (home / "note.txt").exists()
        assert list(tmp_path.glob(".made.*"))
        backup(yard.settings, tmp_path / "another")
        assert not list(tmp_path.glob(".*")), "what was killed is gone"
        backup(yard.settings, tmp_path / "made")
    restore(yard.settings, tmp_path / "made", into=home, overwrite=True)
    assert picture(with_home(yard.settings, home)) == before
    (aside,) = tmp_path.glob("again.before-restore-*")
    assert (aside / "note.txt").read_text() == "mine"


def test_what_outlives_a_killed_restore_is_not_in_the_way_of_the_next(
    yard: Yard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = backup(yard.settings, tmp_path / "made")
    (tmp_path / ".again.restoring").mkdir()
    # As when the process that checks the catalogue makes a file there meanwhile.
    monkeypatch.setattr(shutil, "rmtree", lambda *_, **__: None)
    restore(yard.settings, made.path, into=tmp_path / "again")
    assert picture(with_home(yard.settings, tmp_path / "again")) == picture(yard.settings)


def test_every_checkpoint_is_one() -> None:
    code = "".join(path.read_text() for path in (REPOSITORY / "boathouse/backup").glob("*.py"))
    assert all(f'reached("{checkpoint}")' in code for checkpoint in CHECKPOINTS)


def test_releases_come_back_with_the_one_that_readers_saw(house: Settings, tmp_path: Path) -> None:
    release(house)
    houses.add_events(house, houses.sessions(range(60, 62)))
    houses.execute(
        house,
        "insert into lake.marts.dim_players "
        "select * replace ('p9' as player_id) from lake.marts.dim_players limit 1",
    )
    release(house)
    rollback(house)
    made = backup(house, tmp_path / "made.tar")
    restore(house, made.path, into=tmp_path / "again")
    again = with_home(house, tmp_path / "again")
    shown = current_release(again)
    assert shown is not None and shown.release_id == 1 == made.current_release
    assert [each.release_id for each in list_releases(again)] == [2, 1]
    assert houses.released_marts(again) == houses.released_marts(house)
    assert not os.access(again.warehouse, os.W_OK) or os.geteuid() == 0
    assert again.warehouse.read_bytes() == (again.releases_folder / "1.duckdb").read_bytes()
    maintain(again.model_copy(update=AT_ONCE))
    with lake.connect(again, read_only=True, version=shown.lake_snapshot) as opened:
        players = opened.value("select count(*) from lake.marts.dim_players")
    assert houses.released_rows(again, "select count(*) from marts.dim_players") == [(players,)]


def test_shared_catalogue_is_told_what_to_use(yard: Yard, tmp_path: Path) -> None:
    shared = yard.settings.model_copy(update={"catalog": "postgresql://db.example/lake"})
    with pytest.raises(UsageError, match="PostgreSQL") as raised:
        backup(shared, tmp_path / "made")
    assert "pg_dump" in raised.value.hint
    remote = yard.settings.model_copy(update={"lake": "s3://bucket/lake"})
    with pytest.raises(UsageError, match="object store"):
        restore(remote, tmp_path / "made")
