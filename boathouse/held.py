"""What holds newer data back from readers, for who sees released files alone: dashboard and API.

It lies beside the releases, not in them: a release that is held back is not there to say so.
"""

import json
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from boathouse import notes
from boathouse.settings import Settings

_SHOWN = 20


@dataclass(frozen=True)
class HeldBack:
    """Since when nothing newer could be released, and why it could not at the last try."""

    since: str  # ISO 8601, UTC
    reasons: list[str]


def _file(settings: Settings) -> Path:
    return settings.releases_folder / "held-back.json"


def read(settings: Settings) -> HeldBack | None:
    """Return what holds newer data back; None when nothing is known to."""
    try:
        return HeldBack(**json.loads(_file(settings).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def note(settings: Settings, reasons: Iterable[object]) -> None:
    """Note why a build or a release was not good enough; does not raise where it cannot write."""
    before = read(settings)
    since = before.since if before else datetime.now(UTC).isoformat(timespec="seconds")
    shown = [str(each) for each in reasons]
    if len(shown) > _SHOWN:
        shown[_SHOWN:] = [f"… and {len(shown) - _SHOWN} more"]
    now = HeldBack(since, shown)
    if now == before:
        return
    with suppress(OSError):
        notes.write(_file(settings), asdict(now))


def clear(settings: Settings) -> None:
    """Forget it: readers see all that there is."""
    with suppress(OSError):
        _file(settings).unlink(missing_ok=True)
