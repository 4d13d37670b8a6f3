"""What says that a home takes its releases from elsewhere, and has no lake."""

import json
from pathlib import Path

from boathouse import notes
from boathouse.settings import Settings


def source(settings: Settings) -> str:
    """Return the address that the home's releases come from; empty when it makes them itself."""
    try:
        return str(json.loads(_file(settings).read_text(encoding="utf-8"))["from"])
    except (OSError, ValueError, TypeError, KeyError):
        return ""


def note(settings: Settings) -> None:
    """Note that they come from `BOATHOUSE_RELEASES`."""
    if source(settings) != settings.releases:
        notes.write(_file(settings), {"from": settings.releases})


def _file(settings: Settings) -> Path:
    return settings.home_folder / "pulled.json"
