"""Going on from a catalogue that home or files do not vouch for, because a person says so."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from boathouse import identity, lake, lake_files, lake_place, lock
from boathouse.errors import LakeError
from boathouse.settings import Settings

COMMAND = "boathouse adopt"
_SHOWN = 10


@dataclass(frozen=True)
class Adopted:
    """A lake that is gone on with."""

    lake: str  # its identity
    home: Path
    snapshot: int  # the newest in the catalogue
    was_refused: str  # why nobody might write before; empty when nothing was in the way

    def as_dict(self) -> dict[str, Any]:
        """Return everything as plain values, for JSON."""
        return asdict(self)


def adopt(settings: Settings) -> Adopted:
    """Take the catalogue as the right one for home and files, and return the lake it is of.

    Only what is missing or older is overlooked: parts that carry the identities of two lakes are
    never joined, and all files that the catalogue names must be there.

    Raises:
        IdentityError: there is no catalogue, or it is of another lake than home or files are.
        LakeError: files that it names are missing or damaged.
        LockTimeoutError: another writer was not done in time.
    """
    with lock.writer(settings, COMMAND):
        with lake.connect(settings, read_only=True) as opened:
            error = identity.problem(opened.con, settings)
            _require_files(opened, settings)
        with lake.connect(settings, is_adopting=True) as opened:
            snapshot = opened.current_snapshot()
        home = identity.of_home(settings)
    assert home is not None
    return Adopted(home.lake, settings.home_folder, snapshot, error.message if error else "")


def _require_files(opened: lake.Lake, settings: Settings) -> None:
    files = lake_files.referenced(opened, settings)
    if lake_files.is_local(settings):
        lost = [str(each) for each in lake_files.damaged(files)]
    else:
        lost = [f.path for f in files if not lake_place.is_there(opened.con, f.path)]
    if lost:
        raise LakeError(
            f"{len(lost)} files that the catalogue names are missing or damaged:\n  "
            + "\n  ".join(lost[:_SHOWN]),
            hint="It cannot be gone on from. Put the last backup back with `boathouse restore`.",
        )
