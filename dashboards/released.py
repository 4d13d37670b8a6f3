"""Queries on a released file, which stays the same one for all that a page shows."""

from collections.abc import Mapping
from datetime import date, datetime
from pathlib import Path

import duckdb
import polars as pl
import streamlit as st

from boathouse.errors import BoathouseError
from boathouse.release import reading
from boathouse.settings import Settings

QUERIES = Path(__file__).with_name("queries")
FRAMES_KEPT = 1000

Value = str | int | float | bool | date | datetime | list[str] | None


class QueryFailedError(BoathouseError):
    """A page's query could not be answered by this release."""


class Release(reading.OpenRelease):
    """An open release that answers the pages' queries."""

    def query(self, name: str, **parameters: Value) -> pl.DataFrame:
        """Return the rows of `queries/<name>.sql`, from the cache if they were asked for before.

        Parameters are bound by name; those that the query does not use are left out, so that
        all of a page's queries take the page's filters as they are.

        Raises:
            QueryFailedError: the release lacks what the query reads, or memory is short.
        """
        sql = _text(name)
        used = _used_parameters(sql)
        bound = tuple((each, _frozen(parameters[each])) for each in sorted(used))
        return _frame(self.key, name, bound, self)

    def run(self, sql: str, parameters: Mapping[str, Value]) -> pl.DataFrame:
        """Return the rows of a query."""
        cursor = self.con.cursor()
        try:
            return cursor.execute(sql, dict(parameters) or None).pl()
        except duckdb.Error as error:
            raise QueryFailedError(
                f"Release {self.release_id} cannot answer this: {error}",
                hint="Run `make warehouse` to make a new release from the current models.",
            ) from error
        finally:
            cursor.close()


def _frozen(value: Value) -> Value | tuple[str, ...]:
    return tuple(value) if isinstance(value, list) else value


@st.cache_resource(max_entries=FRAMES_KEPT, show_spinner=False)
def _frame(
    key: tuple[str, int, int],  # noqa: ARG001 (part of what the cache goes by)
    name: str,
    parameters: tuple[tuple[str, Value | tuple[str, ...]], ...],
    _release: Release,
) -> pl.DataFrame:
    bound = {each: list(v) if isinstance(v, tuple) else v for each, v in parameters}
    return _release.run(_text(name), bound)


@st.cache_resource(show_spinner=False)
def _text(name: str) -> str:
    return (QUERIES / f"{name}.sql").read_text(encoding="utf-8")


@st.cache_resource(show_spinner=False)
def _used_parameters(sql: str) -> frozenset[str]:
    (statement,) = duckdb.extract_statements(sql)
    return frozenset(statement.named_parameters)


class Warehouse(reading.Warehouse[Release]):
    """The released files of one home. Safe to use from many threads."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings, Release, "dashboard")

    def _read(self, path: Path, key: reading.Key) -> Release:
        _frame.clear()  # else it would hold what releases have shown that nobody looks at any more
        return super()._read(path, key)


@st.cache_resource(show_spinner=False)
def warehouse(_settings: Settings, home: str) -> Warehouse:  # noqa: ARG001 (the cache's key)
    """Return the one `Warehouse` of this process for a home."""
    return Warehouse(_settings)
