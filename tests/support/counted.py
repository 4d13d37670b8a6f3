"""What a piece of work asks of DuckDB, counted: the same on any machine."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

import duckdb

from boathouse import lake
from boathouse.build import dbt
from boathouse.release import opened


@dataclass
class Counts:
    """How many engines were started, statements sent to them, and lakes let go of again."""

    engines: int = 0
    statements: int = 0
    detached: int = 0


class _Counted:
    """A connection of DuckDB's that counts its statements."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, counts: Counts) -> None:
        self._connection, self._counts = connection, counts

    def execute(self, *arguments: Any, **more: Any) -> Any:
        self._counts.statements += 1
        self._counts.detached += arguments[:1] == (f"detach {lake.NAME}",)
        self._connection.execute(*arguments, **more)
        return self

    def sql(self, *arguments: Any, **more: Any) -> Any:
        self._counts.statements += 1
        return self._connection.sql(*arguments, **more)

    def cursor(self) -> "_Counted":
        return _Counted(self._connection.cursor(), self._counts)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def __enter__(self) -> "_Counted":
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()


@contextmanager
def counted() -> Iterator[Counts]:
    """Count in a `with` block that starts with no engine that was kept."""
    counts = Counts()
    connect = duckdb.connect

    def start(*arguments: Any, **more: Any) -> _Counted:
        counts.engines += 1
        return _Counted(connect(*arguments, **more), counts)

    dbt.close_connection()
    with (
        patch.object(duckdb, "connect", start),
        patch.object(lake, "_idle", lake._Idle()),
        patch.object(opened, "_idle", []),
    ):
        yield counts
        dbt.close_connection()
