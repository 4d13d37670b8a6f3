"""The files of the dbt project: all that decides what a build makes."""

import hashlib
import re
from collections.abc import Iterable
from pathlib import Path

from boathouse.settings import environment_variable

_FOLDERS = ("models", "macros", "seeds", "snapshots", "tests/data", "dbt_packages")
_ENVIRONMENT = re.compile(rb"\benv_var\s*\(\s*['\"](\w+)")


def project_hash(project: Path) -> str:
    """Return a hash over the files of a project and the variables that they ask for."""
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
    return digest.hexdigest()


def _project_files(project: Path) -> Iterable[Path]:
    yield project / "dbt_project.yml"
    yield project / "profiles.yml"
    for folder in _FOLDERS:
        yield from sorted(path for path in (project / folder).rglob("*") if path.is_file())
