"""Which home, lake, catalogue and releases belong together.

Each lake has an identity of its own. Its catalogue carries it (among DuckLake's own metadata), the
folder or prefix of its files and every home that writes in it carry it in `boathouse.json`, and so
do releases and their look-ups. Whoever attaches the lake has them compared: parts of two lakes are
never written in, and a catalogue that is new or empty beside a used home is not taken for a new
lake. A home also notes the newest snapshot that it has seen, by which an older catalogue that was
put back is told.

They carry the format that they were written in, too: `boathouse.upgrade` brings an older lake to
this version's, and what a newer version has written is refused.

Parts that carry nothing are taken in when they plainly belong together: those of a new lake, those
from before there were identities, those that a killed process has left.
"""

from boathouse.identity.check import (
    check,
    is_used,
    problem,
    require_one_lake,
    require_unused,
    upgrade_due,
)
from boathouse.identity.marks import (
    FILE,
    FORMAT,
    UNCOUNTED,
    Facts,
    HomeMark,
    Mark,
    look,
    of_home,
    raise_format,
    require_known,
    shown,
    write_catalog,
    write_folder,
)
from boathouse.identity.settle import new, note, settle

__all__ = [
    "FILE",
    "FORMAT",
    "UNCOUNTED",
    "Facts",
    "HomeMark",
    "Mark",
    "check",
    "is_used",
    "look",
    "new",
    "note",
    "of_home",
    "problem",
    "raise_format",
    "require_known",
    "require_one_lake",
    "require_unused",
    "settle",
    "shown",
    "upgrade_due",
    "write_catalog",
    "write_folder",
]
