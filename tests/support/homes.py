"""Homes and projects for tests: the real project's part for a few domains, and copies of a home."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from boathouse.settings import Settings

REPOSITORY = Path(__file__).resolve().parents[2]
_LAYERS = ("models/staging", "models/intermediate", "models/marts", "seeds", "tests/data")


def copy_project(target: Path, domains: Sequence[str], repository: Path = REPOSITORY) -> Path:
    """Copy the part of the dbt project that these domains need, and return its folder.

    A build then costs what the domains cost, and does not depend on the other ones. dbt's unit
    tests, half of that cost, are left out: `dbt build` of the whole project runs them all (see
    `tests/e2e/test_main_job.py`).
    """
    target.mkdir(parents=True)
    include_unit_tests(target, repository)
    with (target / "dbt_project.yml").open("a") as project:
        project.write("\nunit_tests: {boathouse: {+enabled: false}}\n")
    shutil.copy(repository / "profiles.yml", target)
    for folder in ("macros", "tests/data/generic"):
        shutil.copytree(repository / folder, target / folder)
    for file in (repository / "models").glob("*/_*.yml"):
        copy = target / file.relative_to(repository)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, copy)
    for domain in domains:
        for layer in _LAYERS:
            if (repository / layer / domain).is_dir():
                shutil.copytree(repository / layer / domain, target / layer / domain)
        for file in (repository / "snapshots").rglob(f"snap_{domain}*"):
            (target / "snapshots").mkdir(exist_ok=True)
            shutil.copy(file, target / "snapshots" / file.name)
    return target


def include_unit_tests(project: Path, repository: Path = REPOSITORY) -> None:
    """Let dbt run its unit tests in a copy of the project."""
    shutil.copy(repository / "dbt_project.yml", project)


def by_hand(home: Path) -> dict[str, str]:
    """Return where dbt that is typed by hand writes; Boathouse itself writes into `dbt`."""
    folder = home / "by-hand"
    return {"DBT_TARGET_PATH": str(folder / "target"), "DBT_LOG_PATH": str(folder / "logs")}


def clone(template: Settings, home: Path) -> Settings:
    """Copy a home and return the settings for the copy, whose lake lies in the copy.

    What dbt has parsed there, dbt that is typed by hand finds too, as after its first command.
    """
    shutil.copytree(template.home_folder, home, symlinks=True)
    parsed, target = home / "dbt/target/partial_parse.msgpack", home / "by-hand/target"
    if parsed.exists() and not target.exists():
        target.mkdir(parents=True)
        shutil.copy(parsed, target)
    return template.model_copy(update={"home": home})
