"""Makes the golden homes: small ones that older versions of Boathouse have written.

    PYTHONPATH=tests .venv/bin/python tests/golden/make.py             # those that are missing
    PYTHONPATH=tests .venv/bin/python tests/golden/make.py <commit>    # one of them, anew

Each is made by the code and the models of its commit, with the dependencies of today, and kept as
`<commit>.tar.xz`. All were given the same deliveries, `deliveries.tar.xz`: `1`, a run, `2`, another
run. `3` is for whoever upgrades them. Catalogues say that they were made nowhere; what DuckLake
notes in files of deletes names the temporary folder.
"""

import io
import os
import shutil
import sqlite3
import subprocess
import sys
import tarfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

from support import golden
from support.homes import REPOSITORY, copy_project

DELIVERIES = golden.packed(golden.DELIVERIES)
CODE = golden.packed(f"{golden.OLDEST}-code")  # which is to find itself refused
DOMAINS = ("sessions", "purchases", "vehicles")
SOURCES = ("session_events", "purchases", "vehicle_events", "vehicle_statuses")
COMMITS = {
    "3b4bd81": "models followed by name, notes without counts, no look-ups, nothing for the API",
    "757d761": "look-ups of three columns, notes with counts",
    "cd4f959": "look-ups of two columns, by name alone; rows of what is rebuilt in files",
    "03b784b": "models followed by relation, readers behind a link; nothing carries an identity",
    "e122252": "format 1: parts carry the identity of their lake",
}
# Last day, how many, and the share of bad records.
_DAYS = {"1": ("2024-03-09", 2, 0.05), "2": ("2024-03-10", 1, 0), "3": ("2024-03-11", 1, 0)}
# Of which day is delivered anew on the next, without some of its records.
_CORRECTED = {"2": ("1", "2024-03-09"), "3": ("2", "2024-03-10")}
_KEPT = (
    *("api_keys.json", "archive", "boathouse.json", "catalog.sqlite", "lake", "readers"),
    *("rejected", "releases", "warehouse.duckdb"),
)


def main(commits: list[str]) -> None:
    """Make the golden homes of these commits, or all that are missing."""
    if not DELIVERIES.exists():
        _pack(DELIVERIES, _deliver)
    for commit in commits or COMMITS:
        target = golden.packed(commit)
        if commits or not target.exists():
            _pack(target, lambda folder, commit=commit: _make(folder, commit))
    if not CODE.exists():
        _pack(CODE, lambda folder: _check_out(folder, golden.OLDEST))


def _pack(target: Path, make: Callable[[Path], None]) -> None:
    with TemporaryDirectory() as name:
        folder = Path(name) / "made"
        folder.mkdir()
        make(folder)
        with tarfile.open(target, "w:xz", preset=9) as tar:
            for path in sorted(folder.iterdir()):
                tar.add(path, path.name, filter=_of_nobody)
    print(f"{target.name}: {target.stat().st_size:,} bytes")


def _of_nobody(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    return None if "__pycache__" in member.name else member


def _deliver(folder: Path) -> None:
    for seed, (until, days, dirty) in _DAYS.items():
        home = folder / "home"
        options = {"scale": 0.002, "until": until, "days": days, "dirty": dirty, "seed": seed}
        given = [str(word) for name, value in options.items() for word in (f"--{name}", value)]
        _run(REPOSITORY, REPOSITORY, home, "generate", *given, "--source", *SOURCES)
        (home / "landing").rename(folder / seed)
        shutil.rmtree(home)
    for number, (before, day) in _CORRECTED.items():
        for stem, ending in (("purchases", "csv"), ("session_events", "jsonl")):
            name = f"{stem}/{stem}_{day}.{ending}"
            lines = (folder / before / name).read_text().splitlines(keepends=True)
            (folder / number / name).write_text("".join([*lines[:3], *lines[6:]]))


def _make(folder: Path, commit: str) -> None:
    with TemporaryDirectory() as name:
        made, home = Path(name), Path(name) / "home"
        _check_out(made, commit)
        golden.unpack(golden.DELIVERIES, made / "deliveries")
        for day in ("1", "2"):
            shutil.copytree(made / "deliveries" / day, home / "landing", dirs_exist_ok=True)
            _run(made, made / "project", home, "run")
        if (made / "boathouse" / "api_keys.py").exists():
            _run(made, made / "project", home, "api-key", "create", "golden")
        _forget_place(home / "catalog.sqlite")
        for each in _KEPT:
            if os.path.lexists(home / each):
                (home / each).rename(folder / each)


def _check_out(folder: Path, commit: str) -> None:
    """Put the code of a commit into a folder, and its models of our domains, as `project`."""
    done = subprocess.run(
        ["git", "archive", commit], cwd=REPOSITORY, capture_output=True, check=True
    )
    with TemporaryDirectory() as whole, tarfile.open(fileobj=io.BytesIO(done.stdout)) as tar:
        tar.extractall(whole, filter="data")
        shutil.copytree(Path(whole) / "boathouse", folder / "boathouse")
        copy_project(folder / "project", DOMAINS, repository=Path(whole))


def _run(code: Path, project: Path, home: Path, *arguments: str) -> None:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("BOATHOUSE_", "DBT_"))}
    ours = {"PYTHONPATH": str(code), "BOATHOUSE_HOME": str(home), "BOATHOUSE_SETTLE_SECONDS": "0"}
    command = [sys.executable, "-m", "boathouse", *arguments]
    subprocess.run(command, cwd=project, env={**kept, **ours}, check=True)


def _forget_place(catalog: Path) -> None:
    """Let the catalogue say that its files are nowhere, and shrink it."""
    with closing(sqlite3.connect(catalog)) as con:
        with con:
            con.execute(
                "update ducklake_metadata set value = '/nowhere/lake/' where key = 'data_path'"
            )
        con.execute("vacuum")
        con.execute("pragma wal_checkpoint(truncate)")


if __name__ == "__main__":
    main(sys.argv[1:])
