"""Numbers, dates and times of a workbook as text.

A workbook stores a time as a number of days; that it is one, only the cell's format tells.
ECMA-376, part 1: 18.8.30 (formats), 18.17.4.1 (dates).
"""

import re
from datetime import datetime, timedelta
from decimal import Decimal
from enum import Enum
from typing import NamedTuple

_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,3})?")
_DIGITS = re.compile(r"0|-?[1-9]\d*")
_NOT_DIGITS = re.compile(r"[eE].*|\D")
# Above it, a workbook does not store all digits of a whole number.
_MOST_WHOLE = 1e17
_DOUBLE_DIGITS = 17  # tell any double from its neighbours; more are written by hand
_DAY = 86_400_000  # milliseconds
_MOST_DAYS = 1e7  # of a duration
_EPOCH_1900 = datetime(1899, 12, 30)  # after February 1900, which in a workbook has 29 days
_EPOCH_1904 = datetime(1904, 1, 1)

_NO_CODE = re.compile(r'"[^"]*"?|\\.|[_*].|\[(?!(?:h+|m+|s+)\])[^\]]*\]?|e[+-]|general')


class Shows(Enum):
    """What a number format shows a number as."""

    NUMBER = 0
    DATE = 1  # with or without a time of day
    TIME = 2  # of day
    DURATION = 3  # hours may be more than 24


class Text(NamedTuple):
    """A cell's value as text, and what is wrong with it: how `<column> is …` goes on."""

    text: str
    problem: str = ""
    is_number: bool = False  # in the workbook; text may look like one


_BUILT_IN = (
    dict.fromkeys([*range(14, 18), 22, *range(27, 32), 36, *range(50, 59)], Shows.DATE)
    | dict.fromkeys([*range(18, 22), *range(32, 36), 45, 47], Shows.TIME)
    | {46: Shows.DURATION}
)


def shows(number: int, code: str | None) -> Shows:
    """Return what a format shows: by its code, or a built-in one by its number."""
    if code is None:
        return _BUILT_IN.get(number, Shows.NUMBER)
    # The first section is the one for positive numbers.
    section = _NO_CODE.sub("", code.lower()).partition(";")[0]
    if "[" in section:
        return Shows.DURATION
    has_clock = "am/pm" in section or "a/p" in section
    letters = set(section.replace("am/pm", "").replace("a/p", ""))
    if letters & set("ydegb"):
        return Shows.DATE
    if has_clock or letters & set("hs"):
        return Shows.TIME
    return Shows.DATE if "m" in letters else Shows.NUMBER


def number_text(written: str) -> Text:
    """Return a number as text: digits when it is whole, else the shortest that is that double.

    Digits that no double holds are kept as they are written.
    """
    if _DIGITS.fullmatch(written):
        return Text(written, is_number=True)
    if not _NUMBER.fullmatch(written):
        return Text(written, f"{written}, not a number, though the workbook says it is one")
    value = float(written)
    is_whole = abs(value) < _MOST_WHOLE and value == int(value)
    text = str(int(value)) if is_whole else repr(value)
    if len(written) > _DOUBLE_DIGITS:
        digits = _NOT_DIGITS.sub("", written).strip("0")
        if len(digits) > _DOUBLE_DIGITS:
            text = format(Decimal(written), "f")
    if text in ("inf", "-inf"):
        return Text(written, f"{written}, more than a number in a workbook can be")
    return Text(text, is_number=True)


def time_text(written: str, format_shows: Shows, is_1904: bool) -> Text:
    """Return a date, time or duration, stored as a number of days, as text.

    Dates are `2024-01-02` or `2024-01-02 10:30:00`, the rest is `10:30:00`; milliseconds follow
    when there are any, as in Excel.
    """
    if not _NUMBER.fullmatch(written):
        return number_text(written)
    days = float(written)
    is_time = format_shows is Shows.TIME and 0 <= days < 1
    if is_time or (format_shows is Shows.DURATION and 0 <= days < _MOST_DAYS):
        return Text(_clock(round(days * _DAY)))
    first, last, epoch = (0, 2_957_004, _EPOCH_1904) if is_1904 else (1, 2_958_466, _EPOCH_1900)
    is_february_29 = not is_1904 and 60 <= days < 61
    if not first <= days < last or is_february_29:
        return Text(written, f"day {written} of the workbook's calendar, not a date that exists")
    if not is_1904 and days < 60:
        days += 1
    milliseconds = min(round(days * _DAY), last * _DAY - 1)
    return Text(moment_text(epoch + timedelta(milliseconds=milliseconds)))


def moment_text(moment: datetime) -> str:
    """Return a time as text: the day alone at midnight, no more decimals than it needs."""
    if moment.microsecond:
        return moment.isoformat(" ").rstrip("0")
    text = moment.isoformat(" ")
    return text.removesuffix(" 00:00:00")


def _clock(milliseconds: int) -> str:
    seconds, rest = divmod(milliseconds, 1000)
    minutes, second = divmod(seconds, 60)
    hour, minute = divmod(minutes, 60)
    decimals = f".{rest:03}".rstrip("0") if rest else ""
    return f"{hour:02}:{minute:02}:{second:02}{decimals}"
