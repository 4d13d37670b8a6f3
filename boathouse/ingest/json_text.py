"""What DuckDB's JSON reader would bend or let pass, seen to before and after it reads.

It takes numbers for doubles and writes them in its own way: of 12345678901234567890.1234 digits
are lost, `1.10` becomes `1.1`. So numbers that would change become strings before it reads them,
behind a mark that no data has, and afterwards numbers again, as they were written.

It also takes `NaN`, `Infinity` and a comma after the last element, which RFC 8259 does not know.
"""

import re
import secrets

from boathouse.ingest.counting import count
from boathouse.sql import literal

_MARK = f"number-{secrets.token_hex(8)}:"
# Numbers that a double may not keep: of many digits, minus zero, with an exponent; and those that
# it keeps and DuckDB writes in another way: with a zero at the end, or below a thousandth. A point
# and other digits up to 15 are left as they are (`any point` has those as well).
_CHANGED = rb"""
    -? (?:
        (?:0|[1-9][0-9]*) (?: (?:\.[0-9]+)? [eE][+-]?[0-9]+ | \.[0-9]*0 )
        | (?=[0-9.]{17}) [0-9]+\.[0-9]+
        | 0\.000[0-9]+
        | (?=[0-9]{19}) [1-9][0-9]+
    )
    | -0
"""
_POINTED = rb"(?:%s | -?(?:0|[1-9][0-9]*)\.[0-9]+)" % _CHANGED
_CONSTANT = r"[nN][aA][nN]|[iI][nN][fF]"
_CONSTANTS = re.compile(_CONSTANT.encode())
_LINES = re.compile(rb"[^\n]*\n|[^\n]+")
_STRING = r'"(?:[^"\\]|\\.)*"'
_TRAILING_COMMA = r",\s*[}\]]"
_LENIENT = rf"(?:^|[:,\[])\s*[-+]?(?:{_CONSTANT})|{_TRAILING_COMMA}"
_TRAILING_COMMAS = re.compile(_TRAILING_COMMA.encode())


class _Numbers:
    """The numbers to be marked, each after what stands before it."""

    def __init__(self, number: bytes) -> None:
        after = rb"(?=[,}\]\ \t\r\n])"
        self.anywhere = re.compile(rb"([:,\[\ \t\r\n])(%s)%s" % (number, after), re.VERBOSE)
        self.after_keys = re.compile(rb'(":\ ?)(%s)%s' % (number, after), re.VERBOSE)
        self.suspects = re.compile(
            rb'":\ *(?=[-+0-9nNiI])(?:(?:%s)%s|[-+]?(?:[nN][aA]|[iI]))' % (number, after),
            re.VERBOSE,
        )


# What the numbers that change have in them, in texts as well: there are few points, and few colons.
_CHANGED_POINT = re.compile(
    rb"\.(?:[0-9]*0[,}\]\ \t\r\n]|[0-9]+[eE]|[0-9]{8}|(?<=[0-9]{8}\.)|(?<=[:,\[\s-]0\.)000)"
)
_CHANGED_INTEGER = rb"\s*(?:-?[0-9]+[eE]|-?[0-9]{19}|-0)"
_AFTER_COLON = re.compile(rb":" + _CHANGED_INTEGER)
_IN_LISTS = re.compile(rb"[:,\[]" + _CHANGED_INTEGER)
_TEXT_OF_COLON = re.compile(rb'[:,{ ]":')
_SOME, _ALL = _Numbers(_CHANGED), _Numbers(_POINTED)


def prepare(lines: bytes, *, is_flat: bool, any_point: bool) -> tuple[bytes, bool]:
    """Return lines of JSON with their numbers marked, and whether flat ones may be no JSON.

    Lines that are no JSON differ from what they were in nothing but marks.

    Args:
        lines: Whole lines.
        is_flat: Each line is an object of scalars, if it is JSON at all, its keys ending in `":`.
        any_point: Mark every number with a point, so that it is known not to be text.
    """
    numbers = _ALL if any_point else _SOME
    if not is_flat:
        return (_anywhere(lines, numbers) if any_point or _may_change(lines) else lines), True
    if _are_of_texts(lines):
        return lines, False
    may_be_lenient = count(lines, b",}") > 0 or (
        count(lines, b" }") > 0 and bool(_TRAILING_COMMAS.search(lines))
    )
    if not numbers.suspects.search(lines):
        return lines, may_be_lenient
    if b"\\" in lines or _TEXT_OF_COLON.search(lines):  # `":` may not be the end of a key
        return _anywhere(lines, numbers), True
    return _marked(lines, numbers.after_keys), may_be_lenient or bool(_CONSTANTS.search(lines))


def _may_change(lines: bytes) -> bool:
    """Return whether there may be numbers in lines that DuckDB would write in another way."""
    integers = _IN_LISTS if b"[" in lines else _AFTER_COLON
    return bool(_CHANGED_POINT.search(lines) or integers.search(lines))


def _are_of_texts(lines: bytes) -> bool:
    """Return whether flat lines have only texts as values, the last one before their end.

    It may say no where it is so: counting is faster than looking closely.
    """
    ends_well = count(lines, b'"}\n') == count(lines, b"\n")
    return ends_well and count(lines, b'":"') == count(lines, b'":')


def _anywhere(lines: bytes, numbers: _Numbers) -> bytes:
    """Return lines with the numbers marked that stand outside of texts."""
    marked = _outside_texts(lines, numbers)
    if marked is not None:
        return marked
    each = [line[0] for line in _LINES.finditer(lines)]
    return b"".join(_outside_texts(line, numbers) or line for line in each)


def _outside_texts(text: bytes, numbers: _Numbers) -> bytes | None:
    """Return the same for lines of which every one ends every text that it begins, else None."""
    has_escapes = b"\\" in text
    if has_escapes:  # NUL is in no text
        text = text.replace(b"\\\\", b"\0b").replace(b'\\"', b"\0q")
    pieces = text.split(b'"')
    outside = b"\0|".join(pieces[::2])
    if len(pieces) % 2 == 0 or outside.count(b"\n") < text.count(b"\n"):
        return None
    pieces[::2] = _marked(outside, numbers.anywhere).split(b"\0|")
    text = b'"'.join(pieces)
    if has_escapes:
        text = text.replace(b"\0q", b'\\"').replace(b"\0b", b"\\\\")
    return text


def _marked(text: bytes, number: re.Pattern[bytes]) -> bytes:
    pieces = number.split(text)
    start = b'"%s' % _MARK.encode()
    pieces[2::3] = [b'%s%s"' % (start, found) for found in pieces[2::3]]
    return b"".join(pieces)


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


def decimals(number: str) -> str:
    """Return SQL for how many decimals a number with an exponent has, negative for tens."""
    exponent = f"try_cast(regexp_extract({number}, '[eE](.*)', 1) as integer)"
    return rf"(length(regexp_extract({number}, '\.(\d*?)0*[eE]', 1)) - {exponent})"


def as_digits(text: str, scale: int, otherwise: str) -> str:
    """Return SQL for a number with up to `scale` decimals in digits, 5.0 as 5.

    What is no number, or needs no change, is what the SQL `otherwise` says.

    JSON says what the point and the exponent mean; in other text `1.000` may be a thousand.
    """
    number = _number(text)
    digits = f"try_cast({number} as decimal(38, {scale}))::varchar"
    expanded = f"case when {decimals(number)} <= {scale} then {digits} end"
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
