"""What tests need of the system: without it they are skipped, or fail where nobody would see it."""

import os
import shutil
from typing import NoReturn

import pytest


def program(name: str) -> str:
    """Return the path of a program; the test ends where it is not there."""
    path = shutil.which(name)
    if path is None:
        go_without(f"there is no {name}; `make system` installs it where apt and root are")
    return path


def go_without(why: str) -> NoReturn:
    """End the test: as failed in continuous integration, as skipped elsewhere."""
    if os.environ.get("CI"):
        pytest.fail(why)
    pytest.skip(why)
