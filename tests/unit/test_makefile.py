"""`make` says what is missing, and makes again what was cut short."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from support.homes import REPOSITORY

INSTALLED = ".venv/.installed"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("Makefile", "requirements.lock", "pyproject.toml"):
        shutil.copy(REPOSITORY / name, tmp_path)
    return tmp_path


def python(folder: Path, script: str) -> str:
    """Make a `python` that is a shell script, and return its path."""
    path = folder / "python"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)


def make(folder: Path, python: str) -> subprocess.CompletedProcess[str]:
    command = ["make", INSTALLED, f"PYTHON={python}"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_old_python_is_refused_in_a_sentence(folder: Path) -> None:
    old = python(folder, 'case "$1" in -c) exit 1;; --version) echo Python 3.10.12;; esac')
    done = make(folder, old)
    first, *_ = done.stderr.splitlines()
    assert done.returncode != 0 and "3.11 or newer is needed" in first and "3.10.12" in first
    assert not (folder / ".venv").exists()


@pytest.mark.parametrize("is_whole", [True, False])
def test_only_what_was_cut_short_is_made_again(folder: Path, is_whole: bool) -> None:
    ours = folder / ".venv/bin/python"
    ours.parent.mkdir(parents=True)
    ours.write_text("#!/bin/sh\nexit 1\n")  # it ends there: nothing is to be fetched
    ours.chmod(0o755)
    if is_whole:
        (folder / INSTALLED).touch()
        os.utime(folder / INSTALLED, (0, 0))  # older than the lock file
    asked = folder / "asked"
    assert make(folder, python(folder, f'echo "$@" >> {asked}')).returncode != 0
    assert ("-m venv --clear .venv" in asked.read_text()) is not is_whole
    assert not (folder / INSTALLED).exists()


@pytest.mark.parametrize("there", [(), ("chromium",), ("chromium", "systemd-analyze")])
@pytest.mark.parametrize("user", [0, 1000])
def test_only_what_the_system_lacks_is_installed_by_who_may(
    folder: Path, there: tuple[str, ...], user: int
) -> None:
    programs = folder / "bin"
    programs.mkdir()
    (programs / "sh").symlink_to("/bin/sh")
    told = {"id": f"echo {user}", "apt-get": f'echo "$@" >> {folder}/asked'}
    for name in (*there, *told):
        (programs / name).write_text(f"#!/bin/sh\n{told.get(name, '')}\n")
        (programs / name).chmod(0o755)
    done = subprocess.run(
        [shutil.which("make") or "make", "system"],
        cwd=folder,
        env={"PATH": str(programs)},
        capture_output=True,
        text=True,
        check=True,
    )
    packages = {"chromium": "chromium", "systemd-analyze": "systemd"}
    lacking = " ".join(package for name, package in packages.items() if name not in there)
    asked = (folder / "asked").read_text() if (folder / "asked").exists() else ""
    if not lacking:
        assert (done.stdout, asked) == ("", "")
    elif user == 0:
        assert done.stdout == f"Installing {lacking} …\n"
        assert asked.endswith(f" {lacking}\n") and "install" in asked
    else:
        assert f"There is no {lacking} here" in done.stdout and asked == ""
