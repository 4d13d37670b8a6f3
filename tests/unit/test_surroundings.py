"""What disks, databases, object stores and networks say, each in its own words."""

import errno
import sqlite3
from pathlib import Path

import duckdb
import pytest

from boathouse.build.report import BuildReport, NodeResult
from boathouse.cli.main import _tell_error
from boathouse.errors import (
    BuildError,
    ContractError,
    DamagedError,
    DeniedError,
    DiskFullError,
    InTheWayError,
    LakeError,
    ShortMemoryError,
    UnreachableError,
)
from boathouse.settings import Settings
from boathouse.surroundings import as_expected, is_full_disk, of_lake

IO, HTTP = duckdb.IOException, duckdb.HTTPException


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path, catalog="postgresql://ann:open-sesame@db.example/lake")


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), DiskFullError),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), DiskFullError),
        (IO("IO Error: Could not write all bytes: No space left on device"), DiskFullError),
        (sqlite3.OperationalError("database or disk is full"), DiskFullError),
        (duckdb.Error('Failed to execute query "COMMIT": disk I/O error'), DiskFullError),
        (PermissionError(errno.EACCES, "Permission denied"), DeniedError),
        (OSError(errno.EROFS, "Read-only file system"), DeniedError),
        (duckdb.Error("attempt to write a readonly database"), DeniedError),
        (HTTP("HTTP Error: HTTP GET error on 's3://b/k' (HTTP 403)"), DeniedError),
        (IO('FATAL: password authentication failed for user "ann"'), DeniedError),
        (ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused"), UnreachableError),
        (OSError(errno.ESTALE, "Stale file handle"), UnreachableError),
        (IO("Unable to connect to Postgres at '': Connection refused"), UnreachableError),
        (IO("IO Error: Could not resolve hostname error for HTTP PUT"), UnreachableError),
        (HTTP("HTTP Error: HTTP GET error on 's3://b/k' (HTTP 503)"), UnreachableError),
        (duckdb.Error("server closed the connection unexpectedly"), UnreachableError),
        (duckdb.Error("terminating connection due to idle-in-transaction"), UnreachableError),
        (duckdb.Error("PRAGMA journal_mode: file is not a database"), DamagedError),
        (sqlite3.DatabaseError("database disk image is malformed"), DamagedError),
        (IO('IO Error: Cannot open file "/l/a.parquet": No such file or directory'), DamagedError),
        (
            duckdb.InvalidInputException("No magic bytes found at end of file '/l/a.parquet'"),
            DamagedError,
        ),
        (
            duckdb.CatalogException("Table with name ducklake_table_stats does not exist!"),
            DamagedError,
        ),
        (NotADirectoryError(errno.ENOTDIR, "Not a directory: '/home/landing'"), InTheWayError),
        (OSError(errno.EIO, "Input/output error"), DamagedError),
        (duckdb.OutOfMemoryException("Out of Memory Error: failed to pin block"), ShortMemoryError),
        (MemoryError(), ShortMemoryError),
    ],
)
def test_error_of_what_we_stand_on_says_which_and_what_to_do(
    settings: Settings, error: Exception, kind: type[LakeError]
) -> None:
    found = as_expected(error, settings)
    assert type(found) is kind
    assert found.hint and found.place
    assert found.is_transient == (kind in (UnreachableError, ShortMemoryError))


@pytest.mark.parametrize(
    "error",
    [
        ValueError("no space left in this text"),
        duckdb.ConversionException("Could not convert string 'connection refused' to INT32"),
        duckdb.BinderException('Binder Error: column "permission denied" not found'),
        duckdb.CatalogException("Table with name no_such does not exist!"),
        FileNotFoundError(errno.ENOENT, "No such file or directory"),
        ContractError("no space left in a contract"),
    ],
)
def test_error_about_data_or_code_is_none_of_them(settings: Settings, error: Exception) -> None:
    assert as_expected(error, settings) is None


def test_cause_below_counts_and_no_password_is_told(settings: Settings) -> None:
    try:
        try:
            raise IO(f"Unable to connect to Postgres at {settings.catalog}")
        except IO as error:
            raise RuntimeError("it did not work") from error
    except RuntimeError as error:
        found = as_expected(error, settings)
    assert isinstance(found, UnreachableError) and found.place == "the catalogue's server"
    assert "open-sesame" not in str(found)


def test_damaged_file_is_the_place(settings: Settings) -> None:
    found = as_expected(IO('Cannot open file "/l/a.parquet": No such file or directory'), settings)
    assert found is not None and found.place == "/l/a.parquet"


def test_lake_does_not_answer_for_files_and_memory_that_are_not_its_own(settings: Settings) -> None:
    delivered = f'Cannot open file "{settings.landing_folder}/a.parquet": No such file or directory'
    ours = f'Cannot open file "{settings.data_path}/a.parquet": No such file or directory'
    assert of_lake(IO(delivered), settings) is None
    assert of_lake(duckdb.OutOfMemoryException("Out of Memory Error"), settings) is None
    assert isinstance(of_lake(IO(ours), settings), DamagedError)
    full = IO(f'Could not write file "{settings.work}/x": No space left on device')
    assert isinstance(of_lake(full, settings), DiskFullError) and is_full_disk(full)


def failed_build(*messages: str) -> BuildError:
    results = tuple(
        NodeResult(f"model.{n}", f"m{n}", "model", "error", 0.1, message, Path("m.sql"), None)
        for n, message in enumerate(messages)
    )
    report = BuildReport(1, results, 0.1, 0.1, 0.1, Path("compiled"))
    return BuildError("The build is not green.", report=report)


def test_build_whose_nodes_all_failed_of_one_trouble_is_that_trouble(settings: Settings) -> None:
    file = f"{settings.data_path}/a.parquet"
    lost = f'Runtime Error in model m0\n  IO Error: Cannot open file "{file}": No such file'
    wrong = "Conversion Error: Could not convert string 'connection refused' to INT32"
    found = as_expected(failed_build(lost), settings)
    assert isinstance(found, DamagedError) and found.place == file
    assert as_expected(failed_build(lost, wrong), settings) is None
    assert as_expected(failed_build(lost.replace(file, "/of/a/model.csv")), settings) is None
    assert as_expected(failed_build(wrong), settings) is None
    assert as_expected(BuildError("dbt could not run: no such model"), settings) is None


def test_command_tells_of_the_one_trouble_that_a_build_has_failed_of(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("BOATHOUSE_HOME", str(settings.home))
    full = f'IO Error: Could not write file "{settings.work}/spill": No space left on device'
    assert _tell_error(failed_build(full, full)) == 1
    told = capsys.readouterr().err
    assert "There is no space left on" in told and "free)" in told and "boathouse doctor" in told
    assert _tell_error(failed_build(full, "Binder Error: no such column")) == 1
    assert "The build is not green." in capsys.readouterr().err
