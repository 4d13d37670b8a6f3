"""The lake is opened again and again in one process, each time as if for the first time."""

from collections.abc import Iterator
from typing import Any

import duckdb
import psutil
import pytest

from boathouse import catalog, lake
from boathouse.contracts import load_contracts
from boathouse.settings import MIB, Settings


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Return settings for a home that has a lake."""
    with lake.connect(settings) as opened:
        catalog.ensure(opened, load_contracts(settings.project))
    return settings


@pytest.fixture
def engines(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """Return a list of the engines made from now on."""
    made = []
    connect = duckdb.connect

    def noted(*arguments: Any, **more: Any) -> duckdb.DuckDBPyConnection:
        made.append(connect(*arguments, **more))
        return made[-1]

    monkeypatch.setattr(duckdb, "connect", noted)
    yield made


def test_lake_is_opened_again_with_nothing_left_of_the_time_before(
    settings: Settings, engines: list[Any]
) -> None:
    for _ in range(3):
        with lake.connect(settings) as opened:
            assert opened.value("select getvariable('kept')") is None
            opened.con.execute("set variable kept = 1; create temp table left_over as select 1")
            opened.con.execute("begin; create table lake.meta.never_committed (n integer)")
    assert engines == []
    with lake.connect(settings, read_only=True) as opened:
        assert opened.rows("from duckdb_tables() where table_name = 'never_committed'") == []
        with pytest.raises(duckdb.InvalidInputException, match="read-only"):
            opened.con.execute("delete from lake.meta.loads")
    assert engines == []


def test_lakes_that_are_open_at_once_have_engines_of_their_own(
    settings: Settings, engines: list[Any]
) -> None:
    with lake.connect(settings) as first:
        before = first.current_snapshot()
        with lake.connect(settings, version=before) as second:
            first.write(lambda con: con.execute("create table lake.meta.newer (n integer)"), "x")
            assert second.rows("from duckdb_tables() where table_name = 'newer'") == []
            assert second.current_snapshot() == before
        assert first.rows("from lake.meta.newer") == []
    assert len(engines) == 1


def test_engine_is_not_used_again_after_an_error(settings: Settings, engines: list[Any]) -> None:
    with pytest.raises(duckdb.CatalogException), lake.connect(settings) as opened:
        opened.con.execute("from lake.meta.no_such_table")
    with lake.connect(settings) as opened:
        assert opened.rows("from lake.meta.loads") == []
    assert len(engines) == 1


def test_lake_of_another_home_is_that_of_the_other_home(
    settings: Settings, engines: list[Any]
) -> None:
    other = settings.model_copy(update={"home": settings.home_folder / "other"})
    with lake.connect(other) as opened:
        assert opened.rows("from duckdb_tables() where database_name = 'lake'") == []
    with lake.connect(settings) as opened:
        assert opened.rows("from lake.meta.loads") == []
    assert len(engines) == 2


def test_variable_of_python_is_no_table(settings: Settings) -> None:
    with lake.connect(settings) as opened:
        somewhere = opened.con.sql("select 1 as one")
        with pytest.raises(duckdb.CatalogException, match="somewhere"):
            opened.con.execute("from somewhere")
    del somewhere


def test_query_that_needs_more_memory_than_it_may_have_spills_in_a_new_home(
    settings: Settings,
) -> None:
    careful = settings.model_copy(update={"memory_limit": "60MB"})
    with lake.connect(careful) as opened:
        opened.con.execute("create temp table sorted as from range(6000000) order by hash(range)")
        assert opened.value("select count(*) from sorted") == 6_000_000


def test_process_that_opens_the_lake_again_and_again_does_not_grow(
    settings: Settings, engines: list[Any]
) -> None:
    def opened_and_closed(times: int) -> int:
        for _ in range(times):
            with lake.connect(settings, read_only=True) as opened:
                opened.rows("from lake.meta.loads")
        return int(psutil.Process().memory_info().rss)

    before = opened_and_closed(lake.MOST_ATTACHES)
    grown = opened_and_closed(5 * lake.MOST_ATTACHES) - before
    assert grown < 25 * MIB, f"{grown / MIB:.0f} MiB"
    assert len(engines) == 5 + 1
