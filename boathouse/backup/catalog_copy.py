"""A consistent copy of the SQLite catalogue, and its integrity, while others write in it.

Run in a process of its own: DuckDB brings its own SQLite, and when two of them have the same
file open in one process, closing it in one drops the locks of the other.
"""

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

from boathouse.errors import LakeError

_BUSY_SECONDS = 30


def copy_catalog(source: Path, target: Path) -> None:
    """Copy the catalogue as of one instant.

    Raises:
        DiskFullError: there is no room for it.
        LakeError: it cannot be read, or is damaged.
    """
    from boathouse import disk  # which the other process does without: it is to start quickly
    from boathouse.surroundings import tells_of_full_disk

    problem = _in_another_process("copy", source, target) or check_catalog(target)
    if tells_of_full_disk(problem):
        raise disk.refusal(target, f"the catalogue takes {disk.shown(disk.used([source]))}")
    if problem:
        raise LakeError(
            f"The lake's catalogue {source} is damaged, or cannot be read: {problem}",
            hint="`boathouse doctor` says more; `boathouse restore` puts an earlier backup back.",
        )


def check_catalog(path: Path) -> str:
    """Return what SQLite's own check finds wrong with a catalogue, empty when it is whole."""
    return _in_another_process("check", path)


def _in_another_process(task: str, *paths: Path) -> str:
    """Return what went wrong, or nothing."""
    done = subprocess.run(
        # As a file: by its name, the whole package would be imported, which takes half a second.
        [sys.executable, "-P", __file__, task, *map(str, paths)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        return (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
    return done.stdout.strip()


def _copy(source: Path, target: Path) -> None:
    with closing(_open(source)) as reading, closing(sqlite3.connect(target)) as writing:
        reading.backup(writing)  # all pages in one read transaction


def _check(path: Path) -> None:
    with closing(_open(path)) as con:
        found = [row for (row,) in con.execute("pragma integrity_check(5)")]
    print("; ".join(line for line in found if line != "ok"))


def _open(path: Path) -> sqlite3.Connection:
    # Read-only: the last one to leave would otherwise write the WAL back.
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=_BUSY_SECONDS)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["copy", source, target]:
            _copy(Path(source), Path(target))
        case ["check", path]:
            _check(Path(path))
