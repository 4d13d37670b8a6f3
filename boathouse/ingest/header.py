"""The header of a file: its columns, and whether they meet the contract."""

import csv
from collections import Counter
from dataclasses import dataclass

from boathouse.contracts import Contract
from boathouse.ingest.content import Part, RefusedFileError
from boathouse.ingest.text import without_mark
from boathouse.sql import snake_case

HEADER_LIMIT = 1 << 20
MOST_NAMES = 50  # of a header, in a message
LONGEST_NAME = 100


@dataclass(frozen=True)
class Header:
    """A file's columns, in order, under the delimiter that fits the contract."""

    delimiter: str
    columns: tuple[str, ...]


def first_line(part: Part) -> bytes:
    """Return a text's first line without its end.

    Raises:
        RefusedFileError: it is too long to be a header.
    """
    start = without_mark(next(part.pieces(), b"")[:HEADER_LIMIT])
    line, newline, _ = start.replace(b"\r", b"\n").partition(b"\n")
    if not newline and len(start) == HEADER_LIMIT:
        raise RefusedFileError(f"the first line is longer than {HEADER_LIMIT:,} bytes: no header")
    return line


def read_header(line: bytes, contract: Contract) -> Header:
    """Return the header under the delimiter with which it meets the contract.

    Raises:
        RefusedFileError: under no delimiter does it; says what is missing, new or doubled.
    """
    csv.field_size_limit(1 << 31)
    text = line.decode("utf-8", "replace")
    problems: dict[str, tuple[int, str]] = {}
    for delimiter in contract.landing.delimiter:
        names = [snake_case(name) for name in next(csv.reader([text], delimiter=delimiter), [])]
        problem = header_problem(names, contract)
        if not problem:
            return Header(delimiter, tuple(names))
        problems[delimiter] = (len(names), problem)
    # The delimiter that splits the line into most fields is the one that was meant.
    raise RefusedFileError(max(problems.values())[1])


def header_problem(names: list[str], contract: Contract) -> str:
    """Return why a list of column names does not meet the contract, or nothing."""
    expected = [column.name for column in contract.file_columns]
    missing = [name for name in expected if name not in names]
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
    reserved = [name for name in new if name.startswith("_")]
    if reserved:
        return f"the header has {_some(reserved)}; names with a leading _ are reserved"
    return ""


def _some(names: list[str]) -> str:
    """Return names for a message: all of them, or the first ones of very many."""
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    return ", ".join(name[:LONGEST_NAME] for name in names[:MOST_NAMES]) + more
