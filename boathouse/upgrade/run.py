"""An upgrade from beginning to end."""

import sys
from contextlib import nullcontext

from boathouse import identity, lock
from boathouse.checkpoints import reached
from boathouse.identity import FORMAT
from boathouse.lake import Lake
from boathouse.settings import Settings
from boathouse.upgrade.aside import keep
from boathouse.upgrade.migrations import MIGRATIONS

COMMAND = "boathouse upgrade"


def upgrade(lake: Lake, settings: Settings) -> None:
    """Bring the lake, attached to be written in, to the format of this version.

    Waits for whoever writes, who may just be doing it. Says in one line what was done.

    Raises:
        LockTimeoutError: another writer was not done in time.
        LakeError: the catalogue cannot be kept as it was; nothing was changed.
    """
    with nullcontext() if lock.held_here(settings) else lock.writer(settings, COMMAND):
        home, facts = identity.look(lake.con, settings)
        if facts.format < FORMAT:
            identity.settle(lake.con, settings, facts, home)  # which may have been left to another
            told = _upgrade(lake, settings, facts.format)
            print(told, file=sys.stderr, flush=True)


def _upgrade(lake: Lake, settings: Settings, before: int) -> str:
    kept = keep(lake.con, settings)
    reached("upgrade:kept")
    # From here on, home and files tell an older version to stop, however far this one gets.
    mark = identity.raise_format(lake.con, settings)
    reached("upgrade:marked")
    for written, steps in MIGRATIONS.items():
        if written > before:
            for step in steps:
                step(lake)
                reached(f"upgrade:{step.__name__}")
    identity.write_catalog(lake.con, mark, lake.current_snapshot())
    return (
        f"Upgraded {settings.home_folder} from format {before} to {FORMAT}; the catalogue as it "
        f"was is kept in {kept}."
    )
