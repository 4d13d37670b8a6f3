"""The columns of a Parquet file, and whether DuckDB reads their types exactly."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from boathouse.ingest.content import RefusedFileError
from boathouse.sql import path_literal

# Other types end DuckDB's work (VARIANT), need an extension, or are no text (BSON).
_READABLE = {
    *("boolean", "tinyint", "smallint", "integer", "bigint", "hugeint", "float", "double"),
    *("utinyint", "usmallint", "uinteger", "ubigint", "uhugeint", "decimal", "varchar"),
    *("date", "time", "time with time zone", "timestamp", "timestamp_s", "timestamp_ms"),
    *("timestamp_ns", "timestamp with time zone", "interval", "uuid", "enum", "null"),
    *("list", "array", "struct", "map", "union"),
}


@dataclass(frozen=True)
class FileColumn:
    """A column: its name in the file, its name and type in DuckDB, and if DuckDB cuts its times."""

    name: str
    read_as: str
    kind: str
    is_nested: bool
    is_cut: bool  # nanoseconds or INT96, which DuckDB reads as microseconds


@dataclass(frozen=True)
class _Node:
    """An element of the file's schema."""

    path: tuple[str, ...]
    is_cut: bool
    is_wide_decimal: bool


def file_columns(con: duckdb.DuckDBPyConnection, path: Path) -> list[FileColumn]:
    """Return a file's columns.

    Raises:
        RefusedFileError: a column has a type that cannot be read exactly.
        duckdb.Error: the file's schema cannot be read.
    """
    nodes = list(_nodes(con, path))
    tops = [node for node in nodes if len(node.path) == 1]
    relation = con.sql(f"from {scan(path)}")
    columns = []
    for top, read_as, kind in zip(tops, relation.columns, relation.types, strict=True):
        name = top.path[0]
        unreadable = next((k for k in _kinds(kind) if k not in _READABLE), None)
        if unreadable is not None:
            raise RefusedFileError(
                f"its column {name} is of the type {unreadable.upper()}, which cannot be read"
            )
        below = [node for node in nodes if node.path[0] == name]
        if any(node.is_wide_decimal for node in below):
            raise RefusedFileError(f"its column {name} is a decimal of more than 38 digits")
        is_cut = any(node.is_cut for node in below)
        columns.append(FileColumn(name, read_as, str(kind), _is_nested(kind), is_cut))
    return columns


def scan(path: Path, options: str = "") -> str:
    """Return SQL for the rows of a file; bytes without a type are text."""
    return (
        f"read_parquet({path_literal(path)}, binary_as_string = true, "
        f"hive_partitioning = false{options})"
    )


def _is_nested(kind: Any) -> bool:
    return kind.id in ("list", "array", "struct", "map", "union")


def _kinds(kind: Any) -> Iterator[str]:
    """Yield the names of a type and of all types in it."""
    yield kind.id
    if _is_nested(kind):
        for _, child in kind.children:
            if not isinstance(child, int):  # the length of an array
                yield from _kinds(child)


def _nodes(con: duckdb.DuckDBPyConnection, path: Path) -> Iterator[_Node]:
    """Yield the elements of a file's schema below its root, each before those in it."""
    rows = con.execute(
        "select name, coalesce(num_children, 0), type, coalesce(logical_type, ''), "
        "coalesce(converted_type, ''), coalesce(duckdb_type, '') "
        f"from parquet_schema({path_literal(path)})"
    ).fetchall()
    open_nodes: list[tuple[tuple[str, ...], int]] = []  # paths, and how many are still to come
    for number, (name, children, physical, logical, converted, read_as) in enumerate(rows):
        if number == 0:
            open_nodes.append(((), children))
            continue
        while open_nodes and open_nodes[-1][1] == 0:
            open_nodes.pop()
        if not open_nodes:
            return
        parent, left = open_nodes.pop()
        open_nodes.append((parent, left - 1))
        here = (*parent, name)
        has_nanoseconds = "NANOS=NanoSeconds" in logical and read_as != "TIMESTAMP_NS"
        is_decimal = converted == "DECIMAL" or logical.startswith("DecimalType")
        yield _Node(
            here,
            is_cut=physical == "INT96" or has_nanoseconds,
            is_wide_decimal=is_decimal and read_as == "DOUBLE",
        )
        if children:
            open_nodes.append((here, children))
