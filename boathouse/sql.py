"""Quoting for the few statements that cannot take parameters, and rows by their names."""

import glob
import re
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import duckdb


def identifier(name: str) -> str:
    """Return `name` as a quoted SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def literal(value: str) -> str:
    """Return `value` as a SQL string literal, or as what comes to it: none can hold NUL."""
    text = "'" + value.replace("'", "''") + "'"
    return "(" + text.replace("\0", "' || chr(0) || '") + ")" if "\0" in text else text


def constant(value: object) -> str:
    """Return a Python value as a SQL constant.

    For commands that run often: the first parameter that a process binds makes DuckDB import
    pandas, which takes longer than many a command.

    Raises:
        TypeError: there is no constant for such a value.
    """
    match value:
        case None:
            return "null"
        case bool() | int() | float():
            return str(value).lower()
        case str():
            return literal(value)
        case datetime():
            return f"timestamp {literal(value.isoformat(sep=' '))}"
        case list() | tuple():
            return f"[{', '.join(constant(item) for item in value)}]"
    raise TypeError(f"No SQL constant for {value!r}")


def row(values: Iterable[object]) -> str:
    """Return values as a row of a `values` list."""
    return f"({', '.join(constant(value) for value in values)})"


def path_literal(path: Path) -> str:
    """Return one file's path as DuckDB's readers take it, which would expand `*`, `?` and `[`."""
    return literal(glob.escape(str(path)))


def literal_list(values: Iterable[str]) -> str:
    """Return `values` as a DuckDB list literal."""
    return "[" + ", ".join(literal(value) for value in values) + "]"


def snake_case(name: str) -> str:
    """Return a header name as a column name: `PurchaseID` → `purchase_id`, `G1` → `g1`."""
    text = re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", name.strip())
    text = re.sub(r"([A-Z]+)([A-Z][a-z])", r"\1_\2", text)
    return re.sub(r"\W+", "_", text).strip("_").lower()


def first_row(con: "duckdb.DuckDBPyConnection", query: str) -> dict[str, Any]:
    """Return the first row of a query, by the names of its columns.

    Raises:
        IndexError: it has none.
    """
    row = con.execute(query).fetchall()[0]
    return dict(zip((column[0] for column in con.description or ()), row, strict=True))
