"""What disks, databases, object stores and networks say when they fail, as our own errors.

Each library has words of its own for the same few troubles. Here is the one place that knows them.
An error that is about data or code, not about what we stand on, is none of these.
"""

import errno
import re
import sqlite3
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import duckdb

from boathouse import disk
from boathouse.errors import (
    BoathouseError,
    BuildError,
    DamagedError,
    DeniedError,
    DiskFullError,
    InTheWayError,
    LakeError,
    ShortMemoryError,
    UnexpectedError,
    UnreachableError,
    chain,
)
from boathouse.redaction import without_passwords
from boathouse.settings import Settings


@dataclass(frozen=True)
class _Kind:
    """A trouble: by which words and numbers it is known, and what to say and to do about it."""

    make: Callable[..., LakeError]
    said: str
    hint: str
    words: re.Pattern[str]
    numbers: frozenset[int] = frozenset()


def _words(*each: str) -> re.Pattern[str]:
    return re.compile("|".join(each), re.IGNORECASE)


# The first that fits counts.
_KINDS = (
    _Kind(
        DiskFullError,
        "There is no space left on {disk}, or it cannot be written to",
        disk.HINT,
        # SQLite's last word is also that of a broken disk.
        # DuckDB, which keeps a tenth of a disk free, speaks of what it cannot offload.
        _words(
            *("no space left", "file too large", "disk is full", "quota exceeded", "disk i/o err"),
            "failed to offload data block",
        ),
        frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG}),
    ),
    _Kind(
        DeniedError,
        "Access is denied",
        "Give the user that runs this the right to it, or the right credentials: see "
        "BOATHOUSE_HOME, BOATHOUSE_CATALOG and BOATHOUSE_LAKE.",
        _words(
            *("permission denied", "operation not permitted", "read-?only (file system|database)"),
            *("access ?denied", "HTTP (40[13]|code 40[13])", r"\(HTTP 40[13]", "forbidden"),
            *("authentication failed", "no pg_hba.conf entry", "must be owner of"),
        ),
        frozenset({errno.EACCES, errno.EPERM, errno.EROFS}),
    ),
    _Kind(
        UnreachableError,
        "What the lake stands on does not answer",
        "Check the server, the network, BOATHOUSE_CATALOG and BOATHOUSE_LAKE. Nothing is half "
        "done: run it again once it answers.",
        _words(
            *("could not connect", "unable to connect", "connection (refused|reset|timed out)"),
            *("could not resolve", "could not establish connection", "no route to host"),
            *("network is (unreachable|down)", "timeout was reached", "timed? ?out"),
            *("server closed the connection", "terminating connection", "connection .*closed"),
            *("the database system is", "too many (clients|connections)", "ssl connect"),
            *(r"HTTP (code )?5\d\d", "slow ?down", "broken pipe", "stale file handle"),
            *("transport endpoint", "host is down", "connection error"),
        ),
        frozenset(
            {errno.ECONNREFUSED, errno.ECONNRESET, errno.EHOSTUNREACH, errno.ENETUNREACH}
            | {errno.ETIMEDOUT, errno.ESTALE, errno.ENOTCONN, errno.EHOSTDOWN, errno.EPIPE}
        ),
    ),
    _Kind(
        DamagedError,
        "The lake is damaged",
        "`boathouse doctor --deep` names all that is damaged, and what to do about each.",
        _words(
            *("file is not a database", "disk image is malformed", "no magic bytes"),
            *("invalid footer", "not a parquet file", "ducklake_[a-z_]+ does not exist"),
            *(r"cannot open file .*no such file", "HTTP (code )?404", r"\(HTTP 404"),
            *(
                "variable-length int over",
                "input/output error",
                "corrupt",
                "could not read (enough|all) bytes",
            ),
        ),
        frozenset({errno.EIO}),
    ),
    _Kind(
        InTheWayError,
        "Something else lies where a folder of the home has to be",
        "Move it away; Boathouse makes its folders itself.",
        _words("not a directory", "too many (levels of )?symbolic links"),
        frozenset({errno.ENOTDIR, errno.ELOOP, errno.EEXIST}),
    ),
    _Kind(
        ShortMemoryError,
        "There is not enough memory",
        "Allow more with BOATHOUSE_MEMORY_LIMIT, or let less run beside it.",
        _words(
            "out of memory", "could not allocate", "cannot allocate memory", "failed to allocat"
        ),
        frozenset({errno.ENOMEM}),
    ),
)
# These speak of data, of SQL, of what was asked for, or of an engine that was closed here: their
# words may come from a row, or mean no server.
_OF_DATA = (
    *(duckdb.DataError, duckdb.IntegrityError, duckdb.ParserException, duckdb.BinderException),
    duckdb.ConnectionException,
)
_FILE = re.compile(r"""["']((?:/|[a-z0-9]+://)[^"']+)["']""")


def as_expected(error: BaseException, settings: Settings) -> BoathouseError | None:
    """Return our own error for one that says what we stand on has failed, else None.

    It says what has failed, in which place, and what to do; a password in it is taken out. Of a
    build, what its nodes failed of counts.
    """
    if isinstance(error, BuildError):
        return _of_build(error, settings)
    if isinstance(error, BoathouseError):
        return None
    for each in chain(error):
        kind = _kind_of(each)
        if kind is not None:
            named = each.filename if isinstance(each, OSError) else None
            return _made(kind, _text(each), settings, named)
    return None


def told(error: Exception, settings: Settings) -> BoathouseError:
    """Return the error that a person is told of for any that was raised."""
    if trouble := as_expected(error, settings):
        return trouble
    return error if isinstance(error, BoathouseError) else UnexpectedError(error)


def of_lake(error: duckdb.Error, settings: Settings) -> LakeError | None:
    """Return our own error for one of DuckDB's that is about the lake or its disk, else None.

    What it says of other files, or of memory, may be for what was read.
    """
    kind, text = _kind_of(error), _text(error)
    if kind is None or kind.make is ShortMemoryError or _is_elsewhere(kind, text, settings):
        return None
    return _made(kind, text, settings)


def is_full_disk(error: BaseException) -> bool:
    """Return whether an error says that there was no space left."""
    kind = _kind_of(error)
    return kind is not None and kind.make is DiskFullError


def tells_of_full_disk(text: str) -> bool:
    """Return whether what another process has said is that there was no space left."""
    return _KINDS[0].words.search(text) is not None


def is_damage(error: BaseException) -> bool:
    """Return whether an error of DuckDB says that a file is not what was written."""
    kind = _kind_of(error)
    return isinstance(error, duckdb.Error) and kind is not None and kind.make is DamagedError


def _is_elsewhere(kind: _Kind, text: str, settings: Settings) -> bool:
    """Return whether a trouble is that of a file of others; a disk that is full is everybody's."""
    file = _FILE.search(text)
    is_of_others = file is not None and not _is_of_lake(file[1], settings)
    return is_of_others and kind.make is not DiskFullError


def _is_of_lake(file: str, settings: Settings) -> bool:
    if "://" in file or str(settings.catalog_file) in file:
        return True
    return file.startswith(settings.data_path)


def _of_build(error: BuildError, settings: Settings) -> BoathouseError | None:
    """Return the trouble that all failed nodes of a build have, or dbt itself; else None."""
    said = [result.message for result in error.report.failed] if error.report else [error.message]
    found = [_first_fit(text) for text in said]
    if not found or found[0] is None or not _is_ours(said, settings):
        return None
    kind, line = found[0]
    is_one = all(each is not None and each[0] is kind for each in found)
    if not is_one or _is_elsewhere(kind, line, settings):
        return None
    return _made(kind, line, settings)


def _first_fit(text: str) -> tuple[_Kind, str] | None:
    """Return the trouble that a line of a text speaks of, with the line."""
    for line in text.splitlines():
        for kind in _KINDS:
            if kind.words.search(line):
                return kind, line
    return None


def _is_ours(texts: list[str], settings: Settings) -> bool:
    """Return whether failed nodes speak of files and servers, not of the values in a row."""
    signs = ("IO Error", "HTTP Error", "Out of Memory", "TransactionContext", settings.data_path)
    return all(any(sign in text for sign in signs) for text in texts)


def _kind_of(error: BaseException) -> _Kind | None:
    if isinstance(error, MemoryError):
        return _KINDS[-1]
    if isinstance(error, OSError) and not isinstance(error, duckdb.Error):
        return next((kind for kind in _KINDS if error.errno in kind.numbers), None)
    if isinstance(error, duckdb.Error | sqlite3.Error) and not isinstance(error, _OF_DATA):
        text = _text(error)
        return next((kind for kind in _KINDS if kind.words.search(text)), None)
    return None


def _text(error: BaseException) -> str:
    return str(error).partition("\n")[0].strip() or type(error).__name__


def _made(kind: _Kind, text: str, settings: Settings, named: object = None) -> LakeError:
    """Return the error of a trouble; `named` is the file that it is about, if that is known."""
    text = without_passwords(text.strip())
    found = _FILE.search(text)
    file = str(named) if isinstance(named, str | Path) else found[1] if found else None
    if kind.make is DiskFullError:
        full = _full_disk(file, settings)
        return kind.make(
            f"{kind.said.format(disk=full)}: {text}", hint=kind.hint, place=str(full.mount)
        )
    place = file if file and kind.make is DamagedError else _place(kind, settings)
    return kind.make(f"{kind.said}: {text}", hint=kind.hint, place=place)


def _full_disk(file: str | None, settings: Settings) -> disk.Disk:
    """Return the disk of a file, or of all that we write on the one with the least room."""
    if file is not None and "://" not in file:
        return disk.of(Path(file))
    places = [settings.home_folder, Path(tempfile.gettempdir())]
    if settings.catalog_file is not None:
        places.append(settings.catalog_file)
    if "://" not in settings.data_path:
        places.append(Path(settings.data_path))
    return min(map(disk.of, places), key=lambda each: each.free)


def _place(kind: _Kind, settings: Settings) -> str:
    if kind.make is UnreachableError and settings.postgres is not None:
        return "the catalogue's server"
    if kind.make is UnreachableError and "://" in settings.data_path:
        return settings.data_path
    return str(settings.home_folder)
