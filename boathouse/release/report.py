"""What releasing tells its caller: releases as they are kept, and what one more has cost."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

How = Literal["carried over", "changed in part", "written anew"]


@dataclass(frozen=True)
class ReleaseInfo:
    """A release that is kept, as its own file tells it."""

    release_id: int
    released_at: datetime  # UTC
    lake_snapshot: int  # the lake's version that it shows
    build_id: int  # the newest build at that time
    size_bytes: int
    is_current: bool
    path: Path
    lake: str | None  # identity of the lake it is of; None from before there were any


@dataclass(frozen=True)
class ReleaseProgress:
    """One step of a release that begins now; a mart's name while marts are written."""

    step: str
    done: int
    total: int


OnProgress = Callable[[ReleaseProgress], None]


@dataclass(frozen=True)
class MartReport:
    """How a mart came into the released file."""

    name: str
    how: How
    rows: int
    rows_written: int
    seconds: float


@dataclass(frozen=True)
class ReleaseReport:
    """What `release` did; `release` is what readers see now."""

    release: ReleaseInfo
    is_new: bool  # a file was written
    is_rolled_back: bool  # readers see an earlier release than the newest, because of a rollback
    reason: str  # in a sentence
    marts: tuple[MartReport, ...]
    left_out: tuple[str, ...]  # tables in lake.marts that are no longer in the project
    damaged: tuple[str, ...]  # of the release before; here it is whole again
    seconds: Mapping[str, float]  # by step
