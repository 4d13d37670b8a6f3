"""Releases: the file that readers see, written beside, checked, and swapped in as a whole.

Only this package writes it. Nothing here builds: what may be released is told by
`boathouse.build.find_blockers`.
"""

from boathouse.release.files import current_release, list_releases
from boathouse.release.publish import held_back, release, rollback
from boathouse.release.push import push
from boathouse.release.report import MartReport, ReleaseInfo, ReleaseProgress, ReleaseReport

__all__ = [
    "MartReport",
    "ReleaseInfo",
    "ReleaseProgress",
    "ReleaseReport",
    "current_release",
    "held_back",
    "list_releases",
    "push",
    "release",
    "rollback",
]
