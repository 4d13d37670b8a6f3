"""Checksums of a release's two files, in a third beside them, as `sha256sum --check` reads them.

Reading all rows of a release takes ten times as long as reading its bytes.
"""

from contextlib import suppress
from pathlib import Path

from boathouse.release import lookups
from boathouse.release.copying import checksum

_DIGITS = 64


def beside(release: Path) -> Path:
    """Return where the checksums of a release are, given the path of its own file."""
    return release.with_name(release.name.replace(".duckdb", ".sha256"))


def write(release: Path, name: str) -> None:
    """Write the checksums of a finished release, which will be called `name`."""
    files = {name: release, lookups.beside(Path(name)).name: lookups.beside(release)}
    lines = [f"{checksum(path)}  {kept}\n" for kept, path in files.items()]
    beside(release).write_text("".join(lines), encoding="utf-8")


def is_same(release: Path) -> bool | None:
    """Return whether a release's file has the checksum it had; None when that is not known."""
    return _is_same(release, release)


def has_same_lookups(release: Path) -> bool | None:
    """Return whether a release's look-ups have the checksum they had; None when it is not known.

    They do not when they are missing.
    """
    return _is_same(release, lookups.beside(release))


def _is_same(release: Path, file: Path) -> bool | None:
    known = None
    with suppress(OSError, UnicodeDecodeError):
        for line in beside(release).read_text(encoding="utf-8").splitlines():
            if line[_DIGITS:] == f"  {file.name}":
                known = line[:_DIGITS]
    return None if known is None else file.exists() and checksum(file) == known
