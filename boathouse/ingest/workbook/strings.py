"""A workbook's texts: the table that its cells share, and characters written as codes."""

import re
from array import array

from boathouse.ingest.content import RefusedFileError
from boathouse.ingest.workbook.markup import Handler, tags
from boathouse.settings import MIB

_TAGS = tags("si", "t", "rPh")
_CODES = re.compile(r"(?:_x[0-9A-Fa-f]{4}_)+")
_MOST = 512 * MIB  # of memory, for the shared table


def unescape(text: str) -> str:
    """Return a text with its `_xHHHH_` as the characters meant (ECMA-376, part 1, 22.9.2.19).

    Half a surrogate pair is no character and stays as it is written.
    """
    return _CODES.sub(_characters, text) if "_x" in text else text


def _characters(found: re.Match[str]) -> str:
    codes = found[0]
    units = bytes.fromhex(
        "".join(codes[place + 2 : place + 6] for place in range(0, len(codes), 7))
    )
    try:
        return units.decode("utf-16-be")
    except UnicodeDecodeError:
        return codes


class SharedStrings(Handler):
    """The shared texts by number; fills as the handler of `xl/sharedStrings.xml`."""

    def __init__(self) -> None:
        # One text after the other: a million Python strings would take four times the memory.
        self._texts = bytearray()
        self._ends = array("Q")
        self._pieces: list[str] = []
        self._is_open = False
        self._in_reading = False  # how a text is pronounced (rPh) is not part of it

    def start(self, name: str, _attributes: dict[str, str], /) -> None:
        """Note what the text that follows is."""
        tag = _TAGS.get(name)
        if tag == "t":
            self._is_open = not self._in_reading
        elif tag == "rPh":
            self._in_reading = True

    def end(self, name: str, /) -> None:
        """Take in the text of an item.

        Raises:
            RefusedFileError: the texts take too much memory.
        """
        tag = _TAGS.get(name)
        if tag == "t":
            self._is_open = False
        elif tag == "rPh":
            self._in_reading = False
        elif tag == "si":
            if self._pieces:
                self._texts += unescape("".join(self._pieces)).encode()
                self._pieces.clear()
            self._ends.append(len(self._texts))
            self._check()

    def text(self, text: str, /) -> None:
        """Take in a piece of text."""
        if self._is_open:
            self._pieces.append(text)
            if len(self._pieces) % 1000 == 0:
                self._check(sum(map(len, self._pieces)))

    def _check(self, more: int = 0) -> None:
        if len(self._texts) + 8 * len(self._ends) + 4 * more > _MOST:
            raise RefusedFileError(
                f"the workbook's shared texts take more than {_MOST:,} bytes of memory"
            )

    def __getitem__(self, number: int) -> str:
        end = self._ends[number]
        return self._texts[self._ends[number - 1] if number else 0 : end].decode()

    def __len__(self) -> int:
        return len(self._ends)
