"""Bringing what an older version has written to the format of this one.

All that is counted by the format lies in the lake: releases, look-ups and backups say themselves
what they hold, and are read as they are or made anew. Whoever first attaches the lake to write in
it upgrades it, under the writer lock: the catalogue is kept as it was (`aside`), then one migration
comes after the other (`migrations`), and the catalogue's new format last. Each step is whole by
itself and sees what is done already, so that a killed upgrade goes on where it was.
"""

from boathouse.upgrade.run import upgrade

__all__ = ["upgrade"]
