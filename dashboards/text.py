"""Text as people read it: labels of columns, numbers, times, and data that is no Markdown."""

import re
from datetime import UTC, date, datetime
from decimal import Decimal

import polars as pl

_PUNCTUATION = re.compile(r"([!-/:-@\[-`{-~])")  # all of ASCII's, which Markdown lets one escape
_UNITS = {
    "_seconds": " (s)",
    "_kmh": " (km/h)",
    "_minutes": " (min)",
    "_bytes": " (bytes)",
    "_hours": " (h)",
}
_WORDS = {"id": "ID", "sha256": "SHA-256", "utc": "UTC", "p90": "90th percentile"}


def plain(text: object) -> str:
    """Return text so that Streamlit's Markdown shows it as it is, in one line."""
    line = " ".join(str(text).split())
    return _PUNCTUATION.sub(r"\\\1", line)


def label(column: str, data_type: pl.DataType | None = None) -> str:
    """Return a column's name for people, with its unit: `first_seen_at` → `First seen at (UTC)`."""
    unit = next((text for ending, text in _UNITS.items() if column.endswith(ending)), "")
    if unit:
        column = column[: column.rindex("_")]
    if isinstance(data_type, pl.Datetime):
        unit = " (UTC)"
    words = [_WORDS.get(word, word) for word in column.strip("_").split("_")]
    text = " ".join(words)
    return text[:1].upper() + text[1:] + unit


def number(value: float | Decimal | None, decimals: int = 0) -> str:
    """Return a number with separators; – for none."""
    return "–" if value is None else f"{value:,.{decimals}f}"


def percent(share: float | None, decimals: int = 1) -> str:
    """Return a share of 1 as a percentage; – for none."""
    return "–" if share is None else f"{share:.{decimals}%}"


def moment(time: datetime | None) -> str:
    """Return a UTC time with its zone; – for none."""
    return "–" if time is None else f"{time:%Y-%m-%d %H:%M} UTC"


def day(value: date | None) -> str:
    """Return a date; – for none."""
    return "–" if value is None else f"{value:%Y-%m-%d}"


def duration(seconds: float | None) -> str:
    """Return a duration in the largest unit that says something, such as `3.5 h`."""
    if seconds is None:
        return "–"
    for size, unit in ((86_400, "days"), (3_600, "h"), (60, "min")):
        if seconds >= 2 * size or (seconds >= size and unit != "days"):
            return f"{seconds / size:,.1f} {unit}"
    return f"{seconds:,.0f} s"


def ago(time: datetime) -> str:
    """Return how long ago a UTC time was."""
    return f"{duration(max(0.0, (now() - time).total_seconds()))} ago"


def now() -> datetime:
    """Return the time, UTC, as the warehouse writes times."""
    return datetime.now(UTC).replace(tzinfo=None)
