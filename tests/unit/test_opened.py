"""Released files are read by an engine that is kept, and are let go of again."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import psutil
import pytest

from boathouse.release import opened as module
from boathouse.release.opened import opened


@pytest.fixture
def engines(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """Return the engines that are started from now on; at first none is kept."""
    started: list[Any] = []
    connect = duckdb.connect

    def start() -> Any:
        started.append(connect())
        return started[-1]

    monkeypatch.setattr(module, "_idle", [])
    monkeypatch.setattr(duckdb, "connect", start)
    yield started
    for engine in started:
        engine.close()


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Return two files that hold one number each."""
    paths = [tmp_path / "one.duckdb", tmp_path / "two.duckdb"]
    for number, path in enumerate(paths, 1):
        with duckdb.connect(str(path)) as con:
            con.execute(f"create table n as select {number} as n")
    return paths


def numbers(con: duckdb.DuckDBPyConnection) -> list[Any]:
    return con.execute("select n from n").fetchall()


def test_one_engine_reads_file_after_file(files: list[Path], engines: list[Any]) -> None:
    for path, number in zip(files, (1, 2), strict=True):
        with opened(path) as con:
            assert numbers(con) == con.execute("from released.n").fetchall() == [(number,)]
    files[1].replace(files[0])
    with opened(files[0], "it") as con:
        assert con.execute("from it.n").fetchall() == [(2,)], "as it is now"
    assert len(engines) == 1


def test_file_is_let_go_of_and_cannot_be_written(files: list[Path], engines: list[Any]) -> None:
    with opened(files[0]) as con, pytest.raises(duckdb.Error):
        con.execute("delete from n")
    with pytest.raises(ZeroDivisionError), opened(files[0]):
        raise ZeroDivisionError
    with opened(files[0]) as con:
        assert numbers(con) == [(1,)]
    held = [Path(each.path).name for each in psutil.Process().open_files()]
    assert files[0].name not in held
    assert len(engines) == 2, "after an error it is another one"


def test_two_at_once_have_an_engine_each_and_one_is_kept(
    files: list[Path], engines: list[Any]
) -> None:
    with opened(files[0]) as one, opened(files[1]) as two:
        assert numbers(one) == [(1,)]
        assert numbers(two) == [(2,)]
    assert len(engines) == 2
    assert len(module._idle) == 1


def test_what_is_no_such_file_is_an_error_of_duckdb(tmp_path: Path, engines: list[Any]) -> None:
    wrong = tmp_path / "wrong"
    wrong.write_text("no database")
    for path in (wrong, tmp_path / "none"):
        with pytest.raises(duckdb.Error), opened(path):
            pass
    assert len(engines) == 2
