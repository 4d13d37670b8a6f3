"""The files of the dbt project: all that decides what a build makes."""

import hashlib
import os
import re
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

import yaml

from boathouse.settings import environment_variable

# Where dbt looks, when `dbt_project.yml` does not say it.
_FOLDERS = {
    "model-paths": ["models"],
    "macro-paths": ["macros"],
    "seed-paths": ["seeds"],
    "snapshot-paths": ["snapshots"],
    "test-paths": ["tests"],
    "function-paths": ["functions"],
    "docs-paths": [],
    "packages-install-path": ["dbt_packages"],
}
_FILES = (
    *("dbt_project.yml", "profiles.yml", "selectors.yml", "catalogs.yml", ".dbtignore"),
    *("packages.yml", "dependencies.yml"),
)
_ENVIRONMENT = re.compile(rb"\benv_var\s*\(\s*['\"](\w+)")


def project_hash(project: Path) -> str:
    """Return a hash over the files of a project and the variables that they ask for.

    A project whose folders dbt has to work out never has the same one twice.
    """
    digest = hashlib.sha256()
    names: set[str] = set()
    for path in _project_files(project):
        content = path.read_bytes()
        digest.update(path.relative_to(project).as_posix().encode() + b"\0")
        digest.update(content + b"\0")
        if path.suffix != ".csv":
            names |= {name.decode() for name in _ENVIRONMENT.findall(content)}
    for name in sorted(names):
        digest.update(f"{name}={environment_variable(name)}\0".encode())
    if any("{{" in folder for folder in _project_folders(project)):
        digest.update(os.urandom(16))
    return digest.hexdigest()


def _project_files(project: Path) -> Iterable[Path]:
    yield from (project / name for name in _FILES if (project / name).is_file())
    for folder in _project_folders(project):
        found = (
            Path(place, name)
            for place, _, names in os.walk(project / folder, followlinks=True)  # as dbt does
            for name in names
        )
        yield from sorted(path for path in found if path.is_file())


def _project_folders(project: Path) -> tuple[str, ...]:
    try:
        return _folders((project / "dbt_project.yml").read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError):  # dbt says it better
        return _folders("")


@lru_cache(maxsize=8)
def _folders(text: str) -> tuple[str, ...]:
    """Return the folders that a `dbt_project.yml` leads to, in it or not, each once."""
    try:
        said = yaml.safe_load(text)
    except yaml.YAMLError:
        said = None
    said = said if isinstance(said, dict) else {}
    listed = [said.get(name) or usual for name, usual in _FOLDERS.items()]
    lists = [part if isinstance(part, list) else [part] for part in listed]
    each = [str(folder) for folders in lists for folder in folders]
    return tuple(dict.fromkeys(each))
