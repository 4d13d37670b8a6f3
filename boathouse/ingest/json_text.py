"""What DuckDB's JSON reader would bend or let pass, seen to before and after it reads.

It takes numbers for doubles and writes them in its own way: of 12345678901234567890.1234 digits
are lost, `1.10` becomes `1.1`. So numbers that would change become strings before it reads them,
behind a mark that no data has, and afterwards numbers again, as they were written.

It also takes `NaN`, `Infinity` and a comma after the last element, which RFC 8259 does not know.
"""

import re
import secrets

from boathouse.sql import literal

_MARK = f"number-{secrets.token_hex(8)}:"
# Those that a double may not keep: with a point or an exponent, of many digits, minus zero.
_NUMBER = re.compile(
    rb"(?<=[:,\[ \t\r\n])-?(?:0|[1-9][0-9]*)"
    rb"(?:\.[0-9]+(?:[eE][+-]?[0-9]+)?|[eE][+-]?[0-9]+|(?<=[0-9]{19})|(?<=-0))"
    rb"(?=[,}\] \t\r\n])"
)
_SUSPECT_VALUE = re.compile(rb'": *(?:-?[0-9]+[.eE]|-?[0-9]{19}|-0|[-+]?[nN][aA]|[-+]?[iI])')
_LINES = re.compile(rb"[^\n]*\n|[^\n]+")
_STRING = r'"(?:[^"\\]|\\.)*"'
_TRAILING_COMMA = r",\s*[}\]]"
_CONSTANT = r"[nN][aA][nN]|[iI][nN][fF]"
_LENIENT = rf"(?:^|[:,\[])\s*[-+]?(?:{_CONSTANT})|{_TRAILING_COMMA}"
_TRAILING_COMMAS = re.compile(_TRAILING_COMMA.encode())
_CONSTANTS = re.compile(_CONSTANT.encode())


def prepare(lines: bytes, *, is_flat: bool) -> tuple[bytes, bool]:
    """Return lines of JSON with their numbers marked, and whether they may be no JSON.

    Lines that are no JSON differ from what they were in nothing but marks. `is_flat` says that
    each line is an object of scalars, if it is JSON at all, its keys ending in `":`.
    """
    may_be_lenient = bool(_TRAILING_COMMAS.search(lines))
    if is_flat and not _SUSPECT_VALUE.search(lines):
        return lines, may_be_lenient
    found = _marked(lines)
    if found is None:
        each = [line[0] for line in _LINES.finditer(lines)]
        return b"".join((_marked(line) or (line, True))[0] for line in each), True
    return found[0], may_be_lenient or found[1]


def _marked(text: bytes) -> tuple[bytes, bool] | None:
    """Return the same for text in which every string ends on its line, else None."""
    has_escapes = b"\\" in text
    if has_escapes:  # NUL is in no text
        text = text.replace(b"\\\\", b"\0b").replace(b'\\"', b"\0q")
    pieces = text.split(b'"')
    outside = b"\0|".join(pieces[::2])
    if len(pieces) % 2 == 0 or outside.count(b"\n") < text.count(b"\n"):
        return None
    marked = _NUMBER.sub(rb'"%s\g<0>"' % _MARK.encode(), outside)
    if marked is not outside:
        pieces[::2] = marked.split(b"\0|")
        text = b'"'.join(pieces)
    if has_escapes:
        text = text.replace(b"\0q", b'\\"').replace(b"\0b", b"\\\\")
    return text, bool(_CONSTANTS.search(outside))


def is_json(text: str) -> str:
    """Return SQL, true when a text is JSON as RFC 8259 has it."""
    outside = f"regexp_replace({text}, {literal(_STRING)}, '\"\"', 'g')"
    return (
        f"(json_valid({text}) and (not regexp_matches({text}, {literal(_LENIENT)}) "
        f"or not regexp_matches({outside}, {literal(_LENIENT)})))"
    )


def as_written(text: str, otherwise: str = "") -> str:
    """Return SQL for a value's text without the mark; for what has none `otherwise`, if given."""
    marked = f"starts_with({text}, '{_MARK}')"
    return f"case when {marked} then {_number(text)} else {otherwise or text} end"


def as_digits(text: str, scale: int, otherwise: str) -> str:
    """Return SQL for a number with up to `scale` decimals in digits, 5.0 as 5.

    What is no number, or needs no change, is what the SQL `otherwise` says.

    JSON says what the point and the exponent mean; in other text `1.000` may be a thousand.
    """
    number = _number(text)
    exponent = f"try_cast(regexp_extract({number}, '[eE](.*)', 1) as integer)"
    decimals = f"(length(regexp_extract({number}, '\\.([0-9]+)', 1)) - {exponent})"
    digits = f"try_cast({number} as decimal(38, {scale}))::varchar"
    expanded = f"case when {decimals} <= {scale} then {digits} end"
    exact = f"case when regexp_matches({number}, '[eE]') then {expanded} else {number} end"
    return (
        f"case when starts_with({text}, '{_MARK}') "
        rf"then coalesce(regexp_replace({exact}, '\.0+$', ''), {number}) else {otherwise} end"
    )


def without_marks(text: str) -> str:
    """Return SQL for JSON text with its numbers as they were written."""
    return f"regexp_replace({text}, '\"{_MARK}([^\"]*)\"', '\\1', 'g')"


def _number(text: str) -> str:
    return f"substr({text}, {len(_MARK) + 1})"
