"""The homes that older versions have written, as `tests/golden/make.py` keeps them."""

import tarfile
from pathlib import Path

from support.homes import REPOSITORY

OLDEST = "3b4bd81"
DELIVERIES = "deliveries"  # in folders by day; of the third, no home has been given anything


def packed(name: str) -> Path:
    """Return the path of what is kept by a name."""
    return REPOSITORY / "tests" / "golden" / f"{name}.tar.xz"


def unpack(name: str, folder: Path) -> Path:
    """Unpack what is kept by a name into a folder, and return the folder."""
    with tarfile.open(packed(name)) as tar:
        tar.extractall(folder, filter="data")
    return folder
