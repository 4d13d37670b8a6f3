"""The last look at a written file before readers see it: opened anew, as they will open it."""

from collections.abc import Sequence
from pathlib import Path

import duckdb

from boathouse.errors import ReleaseError
from boathouse.release import damage
from boathouse.release.about import Written
from boathouse.release.contents import Macro
from boathouse.release.opened import opened


def audit(path: Path, written: Sequence[Written], macros: Sequence[Macro]) -> None:
    """Do nothing when the file holds what it should.

    Raises:
        ReleaseError: a table is missing, has another number of rows or other columns, or a macro
            cannot be called.
    """
    tables = [each for each in written if each.definition is None]
    for wrong in damage.of_tables(path, tables, is_deep=False):
        raise _refused(wrong)
    if macros:
        _try(path, macros)
    wal = path.with_name(f"{path.name}.wal")
    if wal.exists():
        raise _refused(f"{wal} was left behind")


def _try(path: Path, macros: Sequence[Macro]) -> None:
    with opened(path) as con:
        for macro in macros:
            try:
                con.execute(f"explain {macro.call}")
            except duckdb.Error as error:
                raise _refused(f"the macro {macro.name} cannot be called: {error}") from error


def _refused(what: str) -> ReleaseError:
    return ReleaseError(
        f"The written file did not pass its audit: {what}.",
        hint="Nothing was released. Run `boathouse release` again.",
    )
