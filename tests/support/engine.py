"""DuckDB for tests: it trusts its own extensions.

To check their signatures takes as long as a small build, each time the lake is opened.
"""

from typing import Any

from boathouse import lake
from boathouse.settings import Settings

_whole = lake.config


def config(settings: Settings) -> dict[str, Any]:
    """Return what `boathouse.lake.config` returns, and that the extensions are trusted."""
    return {**_whole(settings), "allow_unsigned_extensions": True}
