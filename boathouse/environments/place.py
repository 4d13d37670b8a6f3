"""Where environments are, what they are called, and which there are.

An environment is a folder below `environments/` in a home with `environment.json` in it. It gets
its name last and loses it first, so a folder under another name is never one.
"""

import json
import os
import re
import shutil
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock

from boathouse import lock
from boathouse.errors import UsageError
from boathouse.release.files import current_id
from boathouse.settings import ENVIRONMENT_FILE, ENVIRONMENTS, Settings

MAIN = "main"  # what `boathouse diff` calls the home that the environments are in
STATE = "state"
_NAME = re.compile(r"[a-z][a-z0-9_-]{0,62}")


@dataclass(frozen=True)
class Environment:
    """An environment as `env list` shows it."""

    name: str
    home: Path
    from_snapshot: int
    created_at: str  # ISO, UTC
    release: int | None  # what its readers see
    bytes: int  # on the disk that dropping it frees
    writer: str  # who is writing in it, empty when nobody is

    def as_dict(self) -> dict[str, Any]:
        """Return everything as plain values, for JSON."""
        return asdict(self)


def check_name(name: str) -> None:
    """Do nothing when an environment may have this name.

    Raises:
        UsageError: it may not; says what may.
    """
    if name == MAIN or not _NAME.fullmatch(name):
        raise UsageError(
            f"An environment cannot be called {name!r}.",
            hint="Use up to 63 lower-case letters, digits, - and _, beginning with a letter, "
            f"such as dev or pr-12; {MAIN!r} is the home itself.",
        )


def main_home(settings: Settings) -> Path:
    """Return the home that the environments are in, also when settings are of one of them."""
    home = settings.home_folder
    return home.parents[1] if (home / ENVIRONMENT_FILE).exists() else home


def require_main(settings: Settings) -> None:
    """Do nothing when settings are of a home that is no environment itself.

    Raises:
        UsageError: they are of an environment.
    """
    if main_home(settings) != settings.home_folder:
        raise UsageError(
            f"{settings.home_folder} is an environment itself.",
            hint=f"Set BOATHOUSE_HOME to {main_home(settings)}.",
        )


def folder(settings: Settings) -> Path:
    """Return the folder of all environments of a home."""
    return main_home(settings) / ENVIRONMENTS


def settings_at(settings: Settings, home: Path) -> Settings:
    """Return the settings for a folder in which all that is its own lies."""
    return settings.alone_in(home)


def of_name(settings: Settings, name: str) -> Settings | None:
    """Return the settings of an environment, or None when there is none of that name."""
    home = folder(settings) / name
    is_there = _NAME.fullmatch(name) and (home / ENVIRONMENT_FILE).exists()
    return settings_at(settings, home) if is_there else None


def names(settings: Settings) -> list[str]:
    """Return the names of all environments, sorted."""
    found = (path.parent.name for path in folder(settings).glob(f"*/{ENVIRONMENT_FILE}"))
    return sorted(name for name in found if _NAME.fullmatch(name))


def list_environments(settings: Settings) -> list[Environment]:
    """Return all environments of a home, by name."""
    return [_environment(settings_at(settings, folder(settings) / n)) for n in names(settings)]


def _environment(settings: Settings) -> Environment:
    home = settings.home_folder
    told = json.loads((home / ENVIRONMENT_FILE).read_text(encoding="utf-8"))
    writer = str(lock.holder(settings) or "somebody") if lock.is_held(settings) else ""
    return Environment(
        name=home.name,
        home=home,
        from_snapshot=told["from_snapshot"],
        created_at=told["created_at"],
        release=current_id(settings),
        bytes=_own_bytes(home),
        writer=writer,
    )


def _own_bytes(home: Path) -> int:
    """Return the bytes of the files all of whose names lie below a folder."""
    seen: Counter[tuple[int, int]] = Counter()
    files: dict[tuple[int, int], os.stat_result] = {}
    for path in home.rglob("*"):
        try:
            stat = path.lstat()
        except FileNotFoundError:  # deleted at this moment
            continue
        if path.is_file():
            seen[stat.st_dev, stat.st_ino] += 1
            files[stat.st_dev, stat.st_ino] = stat
    return sum(stat.st_size for file, stat in files.items() if stat.st_nlink <= seen[file])


def creating(settings: Settings, name: str) -> Path:
    """Return where an environment is made before it has its name."""
    return folder(settings) / f".{name}.creating"


def dropping(settings: Settings, name: str) -> Path:
    """Return where an environment is deleted after it has lost its name."""
    return folder(settings) / f".{name}.dropping"


def guard(settings: Settings) -> FileLock:
    """Return the lock under which environments of a home are made and dropped."""
    folder(settings).mkdir(parents=True, exist_ok=True)
    return FileLock(folder(settings) / ".lock")


def sweep(settings: Settings) -> None:
    """Delete what killed processes have left; called by who holds the guard."""
    for pattern in (creating(settings, "*").name, dropping(settings, "*").name):
        for path in folder(settings).glob(pattern):
            shutil.rmtree(path)
