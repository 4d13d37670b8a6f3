"""Looking at large pieces of text byte by byte: numpy is several times as fast as `bytes`."""

import re
import sys
from typing import TYPE_CHECKING

from boathouse.settings import MIB

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

SMALL, LARGE = 4096, MIB // 4  # bytes from which numpy pays, and from which importing it does
_BLOCK = MIB // 8  # which fits the processor's cache
# Whole lines of fields with or without quotes around them, NUL (which no text has) between them.
_RECORDS = re.compile(rb'(?:(?:"[^"\n]*+(?:""[^"\n]*+)*+"|[^"\n\0]*+)[\n\0])*+')
_QUOTE, _NEWLINE = b'"\n'


def count(text: bytes, needle: bytes) -> int:
    """Return how often a short text is in another.

    Where it overlaps with itself, it may count once or twice.
    """
    if not _pays(text):
        return text.count(needle)
    import numpy as np

    letters, places = _array(text), len(text) - len(needle) + 1
    total = 0
    for start in range(0, places, _BLOCK):
        end = min(start + _BLOCK, places)
        found = letters[start:end] == needle[0]
        for at, letter in enumerate(needle[1:], 1):
            found &= letters[start + at : end + at] == letter
        total += int(np.count_nonzero(found))
    return total


def has_quoted_fields_only(lines: bytes, delimiter: str) -> bool:
    """Return whether all quotes in whole lines are around fields, or doubled inside them."""
    separator = delimiter.encode()
    if not _pays(lines) or len(separator) > 1:
        return bool(_RECORDS.fullmatch(lines.replace(separator, b"\0")))
    import numpy as np

    text = _array(b"\n" + lines)
    quotes = np.flatnonzero(text == _QUOTE)
    if len(quotes) % 2:
        return False
    is_border = np.zeros(256, dtype=bool)
    is_border[[_QUOTE, _NEWLINE, separator[0]]] = True  # of a field, or of one quote by another
    if not (is_border[text[quotes[::2] - 1]].all() and is_border[text[quotes[1::2] + 1]].all()):
        return False
    newlines = np.flatnonzero(text == _NEWLINE)
    return not (np.searchsorted(quotes, newlines) % 2).any()


def make_ready() -> None:
    """Import numpy now, for the many small pieces that are to come."""
    import numpy  # noqa: F401


def _pays(text: bytes) -> bool:
    return len(text) > SMALL and (len(text) > LARGE or "numpy" in sys.modules)


def _array(text: bytes) -> "npt.NDArray[np.uint8]":
    import numpy as np

    return np.frombuffer(text, dtype=np.uint8)
