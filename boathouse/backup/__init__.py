"""Backups: the whole warehouse at one instant, in a folder or a tar file, and back.

`create` writes one while a build may be running; `restore` makes a home of it.
"""

from boathouse.backup.create import BackupReport, backup
from boathouse.backup.restore import RestoreReport, restore

__all__ = ["BackupReport", "RestoreReport", "backup", "restore"]
