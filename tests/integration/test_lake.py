"""The lake is opened again and again in one process, each time as if for the first time."""

import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import duckdb
import houses
import psutil
import pytest

from boathouse import catalog, lake, pipeline
from boathouse.contracts import load_contracts
from boathouse.settings import MIB, Settings
from boathouse.sql import identifier


@pytest.fixture(autouse=True)
def _kept_attached() -> None:
    """Leave it to each test whether the lake stays attached."""


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


# Another one each time that the lake is attached.
NUMBER = "select database_oid from duckdb_databases() where database_name = 'lake'"


def attached(settings: Settings, *, read_only: bool = False) -> int:
    """Open the lake, and return its number."""
    with lake.connect(settings, read_only=read_only) as opened:
        return int(opened.value(NUMBER))


def test_lake_that_is_kept_attached_is_attached_once_and_shows_what_others_commit(
    settings: Settings, engines: list[Any]
) -> None:
    with lake.kept_attached():
        first = attached(settings)
        code = "from boathouse import lake\nwith lake.connect(settings) as opened:\n"
        code += (
            "    opened.write(lambda con: con.execute('create table lake.meta.theirs (n int)'), '')"
        )
        with houses.python(settings, code) as other:
            _, said = other.communicate()
            assert other.returncode == 0, said
        with lake.kept_attached():
            assert attached(settings) == first
        with lake.connect(settings) as opened:
            assert opened.rows("from lake.meta.theirs") == []
            assert opened.value("select getvariable('kept')") is None
            opened.con.execute("set variable kept = 1; begin; drop table lake.meta.theirs")
        assert attached(settings, read_only=True) != first
        again = attached(settings)
        assert again != first
        with pytest.raises(duckdb.CatalogException), lake.connect(settings) as opened:
            opened.con.execute("from lake.meta.no_such_table")
        assert attached(settings) == attached(settings)
    assert attached(settings) != attached(settings), "outside, each time anew"
    with lake.connect(settings) as opened:
        assert opened.rows("from lake.meta.theirs") == [], "what was not committed was undone"
    assert len(engines) == 1, "but for the one after the error"


def test_catalogue_that_was_put_in_the_place_of_a_kept_one_is_attached_anew(
    settings: Settings, tmp_path: Path
) -> None:
    path = settings.catalog_file
    assert path is not None
    before = shutil.copy(path, tmp_path / "before.sqlite")
    with lake.kept_attached():
        houses.execute(settings, "create table lake.meta.later as select 1 as n")
        first = attached(settings)
        assert attached(settings) == first
        before.replace(path)
        assert attached(settings) != first
        houses.execute(settings, "create table lake.meta.others as select 2 as m")
        with lake.connect(settings) as opened:
            assert opened.rows("from lake.meta.others") == [(2,)]
            with pytest.raises(duckdb.CatalogException):
                opened.rows("from lake.meta.later")


def test_another_thread_may_open_the_lake_that_is_kept_attached(settings: Settings) -> None:
    with lake.kept_attached(), ThreadPoolExecutor(4) as pool:
        for number in pool.map(lambda _: attached(settings), range(20)):
            assert number
        one, other = (pool.submit(attached, settings).result() for _ in range(2))
        assert one != other, "another thread keeps nothing attached"
        assert attached(settings) == attached(settings)


def test_run_attaches_the_lake_once(home: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    attach = lake.attach

    def noted(con: duckdb.DuckDBPyConnection, *arguments: Any, **more: Any) -> lake.Lake:
        opened = attach(con, *arguments, **more)
        seen.append(opened.value(NUMBER))
        return opened

    monkeypatch.setattr(lake, "attach", noted)
    pipeline.run(home)
    assert len(seen) > 2 and len(set(seen)) == 1


def test_tables_without_rows_have_statistics_and_no_rows(settings: Settings) -> None:
    with lake.connect(settings) as opened:
        tables = opened.rows(
            """
            select schemas.schema_name, tables.table_name, stats.record_count, stats.next_row_id
            from __ducklake_metadata_lake.ducklake_table as tables
            inner join __ducklake_metadata_lake.ducklake_schema as schemas using (schema_id)
            left join __ducklake_metadata_lake.ducklake_table_stats as stats using (table_id)
            """
        )
        assert len(tables) > 30
        for schema, table, rows, next_row in tables:
            assert (rows, next_row) == (0, 0), f"{schema}.{table}"
            assert opened.rows(f"from lake.{schema}.{identifier(table)}") == []


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
