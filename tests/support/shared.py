"""What takes long to make, made once for all workers of a test run, and read or copied by each."""

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest
from filelock import FileLock

Made = TypeVar("Made")


def made_once(request: pytest.FixtureRequest, name: str, make: Callable[[Path], Made]) -> Made:
    """Return what `make` returned for a new folder, in whichever worker came first.

    The others get a copy of the value, and the same folder.
    """
    base: Path = request.getfixturevalue("tmp_path_factory").getbasetemp()
    is_worker = request.getfixturevalue("worker_id") != "master"
    folder = (base.parent if is_worker else base) / name
    result = folder.with_name(f"{name}.made")
    with FileLock(folder.with_name(f"{name}.lock")):
        if not result.exists():
            folder.mkdir()
            value = make(folder)
            result.write_bytes(pickle.dumps(value))
    made: Made = pickle.loads(result.read_bytes())
    return made
