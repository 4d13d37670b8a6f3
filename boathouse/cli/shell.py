"""Answers to queries on the terminal, one by one or in a small shell."""

import contextlib
import csv
import sys
from pathlib import Path
from typing import Any

import duckdb

from boathouse.cli.options import print_json
from boathouse.query import QueryError, execute, failed

_HELP = "End a query with ; and Enter. .tables lists the tables, .quit (or Ctrl-D) ends."
_TABLES = """
    select table_schema as "schema", table_name as "table"
    from information_schema.tables
    where table_catalog = current_database()
    order by all
"""


def answer(con: duckdb.DuckDBPyConnection, query: str, style: str) -> None:
    """Print a query's result as `table`, `csv` or `json`.

    Raises:
        QueryError: it cannot be run.
    """
    result = execute(con, query)
    if result is None:
        return
    try:
        if style == "table":
            result.show(max_rows=200, max_width=_width())
            return
        names, rows = result.columns, result.fetchall()
    except duckdb.Error as error:
        raise failed(error) from error
    if style == "json":
        print_json([dict(zip(names, row, strict=True)) for row in rows])
    else:
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(names)
        writer.writerows(rows)


def _width() -> int:
    import shutil

    return shutil.get_terminal_size((160, 24)).columns


def interact(con: duckdb.DuckDBPyConnection, history: Path) -> None:
    """Read queries from the terminal and answer them until the person leaves."""
    import readline

    with contextlib.suppress(OSError):
        readline.read_history_file(history)
    print(_HELP)
    try:
        _loop(con)
    finally:
        with contextlib.suppress(OSError):
            history.parent.mkdir(parents=True, exist_ok=True)
            readline.write_history_file(history)


def _loop(con: duckdb.DuckDBPyConnection) -> None:
    lines: list[str] = []
    while True:
        try:
            line = input("   ...> " if lines else "boathouse> ")
        except EOFError:
            print()
            return
        except KeyboardInterrupt:
            print()
            lines.clear()
            continue
        if not lines and line.strip().startswith("."):
            command: Any = line.strip().rstrip(";")
            if command in (".quit", ".exit"):
                return
            lines = [_TABLES + ";"] if command == ".tables" else []
            if not lines:
                print(_HELP)
                continue
        else:
            lines.append(line)
        if lines[-1].rstrip().endswith(";"):
            try:
                answer(con, "\n".join(lines), "table")
            except QueryError as error:
                print(f"✗ {error}")
            lines.clear()
