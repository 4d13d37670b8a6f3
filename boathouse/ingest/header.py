"""The header of a file: its columns, and whether they meet the contract."""

import csv
import io
from collections import Counter
from dataclasses import dataclass

from boathouse.contracts import RESERVED, Contract
from boathouse.ingest.content import Part, RefusedFileError
from boathouse.ingest.text import without_mark

HEADER_LIMIT = 1 << 20
MOST_NAMES = 50  # of a header, in a message
LONGEST_NAME = 100


@dataclass(frozen=True)
class Header:
    """A file's columns, in order, under the delimiter that fits the contract."""

    delimiter: str
    columns: tuple[str, ...]
    lines: int  # over which it goes


def start_of(part: Part) -> bytes:
    """Return the start of a text, up to the length that a header may have.

    Raises:
        RefusedFileError: its first line is too long to be a header.
    """
    start = without_mark(next(part.pieces(), b"")[:HEADER_LIMIT])
    if len(start) == HEADER_LIMIT and not {*b"\r\n"} & {*start}:
        raise RefusedFileError(f"the first line is longer than {HEADER_LIMIT:,} bytes: no header")
    return start


def read_header(start: bytes, contract: Contract) -> Header:
    """Return the header under the delimiter with which it meets the contract.

    Raises:
        RefusedFileError: under no delimiter does it; says what is missing, new or doubled.
    """
    problems: dict[str, tuple[int, str]] = {}
    for delimiter in contract.landing.delimiter:
        fields, lines = split_header(start, delimiter)
        if not lines:
            problems[delimiter] = (0, "a quoted name in the header is never closed")
            continue
        names = contract.names_of(fields)
        problem = header_problem(names, contract)
        if not problem:
            return Header(delimiter, tuple(names), lines)
        problems[delimiter] = (len(names), problem)
    # The delimiter that splits the line into most fields is the one that was meant.
    raise RefusedFileError(max(problems.values())[1])


def without_header(start: bytes, contract: Contract) -> Header:
    """Return the header that the contract has for files without one.

    The delimiter is the one under which the first record has as many fields.
    """
    names = names_by_place(contract)
    delimiters = contract.landing.delimiter
    fitting = [each for each in delimiters if len(split_header(start, each)[0]) == len(names)]
    return Header((fitting or list(delimiters))[0], tuple(names), 0)


def names_by_place(contract: Contract) -> list[str]:
    """Return the contract's columns in their order, or where their `from` says."""
    columns = contract.file_columns
    names = [""] * max([len(columns), *(column.position for column in columns)])
    for column in columns:
        if column.position:
            names[column.position - 1] = column.name
    free = iter([at for at, name in enumerate(names) if not name])
    for column in columns:
        if not column.position:
            names[next(free)] = column.name
    return names


def split_header(start: bytes, delimiter: str) -> tuple[list[str], int]:
    """Return the first record of a text and the lines it goes over; 0 if it does not end.

    What follows a closing quote belongs to the name, white space in most cases.
    """
    csv.field_size_limit(1 << 31)
    text = start.decode("utf-8", "replace")
    for strict in (True, False):
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=strict)
        try:
            return next(reader, []), max(reader.line_num, 1)
        except csv.Error as error:
            if "unexpected end" in str(error):
                break
    return [], 0


def header_problem(names: list[str], contract: Contract) -> str:
    """Return why a list of column names does not meet the contract, or nothing."""
    expected = [column.name for column in contract.file_columns]
    missing = [c.header_words for c in contract.file_columns if c.name not in names]
    doubled = [name for name, times in Counter(names).items() if times > 1 and name]
    new = [name for name in names if name not in expected]
    if not any(names):
        return "the first line, which should be the header, is empty"
    if missing:
        return f"the header lacks {_some(missing)}; it has {_some(names)}"
    if doubled:
        return f"the header has {_some(doubled)} more than once"
    if "" in names:
        return f"the header has a column without a name (number {names.index('') + 1})"
    from_name = [column.name for column in contract.filename_columns if column.name in names]
    if from_name:
        return f"the header has {_some(from_name)}, which the contract takes from the file's name"
    if new and contract.landing.new_columns == "reject":
        return (
            f"the header has {_some(new)}, which the contract does not know (new_columns: reject)"
        )
    reserved = [name for name in new if name in RESERVED]
    if reserved and contract.landing.new_columns == "add":
        return (
            f"the header has {_some(reserved)}, which cannot be the name of a column in the lake; "
            "name it in the contract, with `from:`"
        )
    return ""


def _some(names: list[str]) -> str:
    """Return names for a message: all of them, or the first ones of very many."""
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    return ", ".join(name[:LONGEST_NAME] for name in names[:MOST_NAMES]) + more
