"""The SQL console lets nobody out: each way fails with a clear message, and queries still work."""

import os
import sys
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

import duckdb
import pytest

from boathouse.settings import Settings
from dashboards.console.child import _open
from dashboards.console.guard import RefusedError, check
from dashboards.console.runner import ConsoleError, Limits, run
from dashboards.released import Warehouse

SMALL = Limits(memory_mib=256, rows=100, bytes=2**20)
HURRIED = replace(SMALL, seconds=4)
MACROS = frozenset({"purchases_as_of"})

# What the guard says, asked in this process.
REFUSED = {
    # reading files: by function, by path as a table's name, by text that is run
    "select * from read_csv('/etc/passwd')": "read_csv is not allowed",
    "select * from read_blob('/etc/hostname')": "read_blob is not allowed",
    "select * from read_json_auto('/etc/passwd')": "read_json_auto is not allowed",
    "select * from read_parquet('x.parquet')": "read_parquet is not allowed",
    "select * from parquet_metadata('x.parquet')": "parquet_metadata is not allowed",
    "select * from sniff_csv('/etc/passwd')": "sniff_csv is not allowed",
    "select * from glob('/**')": "glob is not allowed",
    "select * from read_duckdb('1.duckdb')": "read_duckdb is not allowed",
    'select * from "/etc/passwd"': "Files are not allowed",
    "from '1.duckdb'": "Files are not allowed",
    "from 'https://example.com/x.parquet'": "Files are not allowed",
    "select (select count(*) from read_text('/etc/passwd'))": "read_text is not allowed",
    "with a as (from read_text('/etc/passwd')) from a": "read_text is not allowed",
    "select 1 where exists (from glob('*'))": "glob is not allowed",
    "describe from read_text('/etc/passwd')": "read_text is not allowed",
    "from query('select * from read_text(''/etc/passwd'')')": "query is not allowed",
    "from query_table('/etc/passwd')": "query_table is not allowed",
    "from json_execute_serialized_sql('{}')": "json_execute_serialized_sql is not allowed",
    # writing, attaching, loading, settings
    "copy marts.dim_players from '/etc/passwd'": "COPY is not allowed",
    "export database '/tmp/x'": "EXPORT is not allowed",
    "detach memory": "DETACH is not allowed",
    "use memory": "SET is not allowed",
    "install httpfs": "LOAD is not allowed",
    "load httpfs": "LOAD is not allowed",
    "reset memory_limit": "SET is not allowed",
    "pragma database_list": "not allowed",
    "call pragma_version()": "CALL is not allowed",
    "create temp macro m() as 1": "CREATE is not allowed",
    "create secret (type s3)": "not allowed",
    "insert into marts.dim_players default values": "INSERT is not allowed",
    "update marts.dim_players set country = 'X'": "UPDATE is not allowed",
    "delete from marts.dim_players": "DELETE is not allowed",
    "drop table marts.dim_players": "DROP is not allowed",
    "checkpoint": "not allowed",
    "vacuum": "VACUUM is not allowed",
    "begin": "TRANSACTION is not allowed",
    "prepare p as select 1": "PREPARE is not allowed",
    "from force_checkpoint()": "force_checkpoint is not allowed",
    # what tells of the machine, or waits
    "select current_setting('temp_directory')": "current_setting is not allowed",
    "select getvariable('x')": "getvariable is not allowed",
    "from duckdb_databases()": "duckdb_databases is not allowed",
    "from duckdb_secrets()": "duckdb_secrets is not allowed",
    "from duckdb_extensions()": "duckdb_extensions is not allowed",
    "from duckdb_logs()": "duckdb_logs is not allowed",
    "from pragma_platform()": "pragma_platform is not allowed",
    "from pragma_database_list": "not one of the release's tables",
    "from pg_catalog.pg_settings": "not one of the release's tables",
    "from pg_settings": "not one of the release's tables",
    "show databases": "not allowed",
    "select sleep_ms(100000)": "sleep_ms is not allowed",
    "select write_log('x')": "write_log is not allowed",
    # several statements, and comments around them
    "select 1; -- and\nattach '/tmp/x'": "There are 2 statements",
    "/* select */ attach '/tmp/x'": "ATTACH is not allowed",
    "select 1 /* ; */; drop table marts.dim_players": "There are 2 statements",
    "-- nothing": "There is no statement",
    "selec 1": "syntax error",
    "select 'open": "unterminated",
}
# Of each kind one, what others than the guard refuse, and bombs that the parser meets.
REFUSED_BY_THE_PROCESS = {
    "select * from read_text('/etc/passwd')": "read_text is not allowed",
    "select * from '/etc/passwd'": "Files are not allowed",
    "from 's3://bucket/x.csv'": "Files are not allowed",
    "copy (select 1) to '/tmp/x.csv'": "COPY is not allowed",
    "import database '/tmp/x'": "disabled",
    "attach '/tmp/x.duckdb'": "ATTACH is not allowed",
    "set memory_limit = '100GB'": "SET is not allowed",
    "pragma enable_external_access": "",
    "create table x as select 1": "CREATE is not allowed",
    "select getenv('HOME')": "getenv is not allowed",
    "from duckdb_settings()": "duckdb_settings is not allowed",
    "select 1; select 2": "There are 2 statements",
    "": "There is no statement",
    "select * from marts.no_such": "does not exist",
    f"select {'(' * 20_000}1{')' * 20_000}": "",
    f"select {'1+' * 20_000}1": "expression depth",
    f"select '{'x' * 200_000}'": "longer than 100,000 characters",
}
BOMBS = {
    "select count(*) from range(1000000) a, range(1000000) b": "ended after 4 s",
    "with recursive t as (select 1 as a union all select a + 1 from t) select count(*) from t": "",
    "select repeat('x', 2000000000)": "",
    "select list(a.range) from range(30000) a, range(30000) b": "",
    "select string_agg(repeat('x', 100000), '') from range(100000)": "",
    "select a.range, b.range from range(100000) a, range(100000) b order by random()": "",
}


@pytest.fixture(scope="module")
def path(nine_domains: Settings) -> Path:
    return Warehouse(nine_domains).current().path


@pytest.fixture(scope="module")
def reader(path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """Return the connection that a query's process has, in this process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(path.parent)
        opened = _open({"path": path, **asdict(SMALL)})
    with opened:
        yield opened


@pytest.mark.parametrize("sql", REFUSED, ids=lambda sql: sql[:40])
def test_way_out_is_refused_with_a_clear_message(
    path: Path, reader: duckdb.DuckDBPyConnection, sql: str
) -> None:
    with pytest.raises(RefusedError) as caught:
        check(reader, sql, MACROS)
    assert_is_clear(str(caught.value), REFUSED[sql], path)


@pytest.mark.parametrize("sql", REFUSED_BY_THE_PROCESS, ids=lambda sql: sql[:40])
def test_process_refuses_a_way_out_with_a_clear_message(path: Path, sql: str) -> None:
    with pytest.raises(ConsoleError) as caught:
        run(path, sql, MACROS, SMALL)
    assert_is_clear(str(caught.value), REFUSED_BY_THE_PROCESS[sql], path)


def assert_is_clear(message: str, said: str, path: Path) -> None:
    assert said in message
    assert "Traceback" not in message and str(path.parent) not in message


@pytest.mark.parametrize("sql", BOMBS, ids=lambda sql: sql[:40])
def test_bomb_is_ended_with_a_clear_message(path: Path, sql: str) -> None:
    with pytest.raises(ConsoleError) as caught:
        run(path, sql, MACROS, HURRIED)
    assert BOMBS[sql] in caught.value.message
    message = caught.value.message
    assert any(word in message for word in ("ended", "memory", "larger", "Memory")), message


@pytest.mark.parametrize(
    ("sql", "rows"),
    [
        ("select count(*) as players from marts.dim_players", 1),
        ("from dim_players limit 5;", 5),
        ("from marts.purchases_as_of(date '2026-03-10') limit 2", 2),
        ("with a as (select 1 as x) select * from a, range(3)", 3),
        ("values (1, 'a'), (2, 'b')", 2),
        ("describe marts.dim_players", 8),
        ("select 'copy; attach' as text -- ; drop table x", 1),
        ("select table_name from duckdb_tables() limit 1", 1),
        ("from meta.release", 1),
        (
            "select a.country, b.country from dim_players a join dim_players b using (player_id)",
            100,
        ),
        ("select {'a': 1}, [1, 2], map {'k': 1}, interval 1 day, uuid(), sum(1), null", 1),
    ],
)
def test_ordinary_query_works(path: Path, sql: str, rows: int) -> None:
    assert run(path, sql, MACROS, SMALL).frame.height == rows


def test_rows_beyond_the_limit_are_cut_off_and_said_so(path: Path) -> None:
    result = run(path, "from range(1000000000000)", limits=SMALL)
    assert (result.frame.height, result.is_cut) == (100, True)


def test_row_larger_than_all_rows_may_be_is_refused(path: Path) -> None:
    with pytest.raises(ConsoleError, match="larger than 1 MiB together"):
        run(path, "select repeat('x', 3000000)", limits=SMALL)


def test_names_of_columns_that_come_twice_are_told_apart(path: Path) -> None:
    result = run(path, "select 1 as a, 2 as a, 3 as a", limits=SMALL)
    assert result.frame.columns == ["a", "a_2", "a_3"]


@pytest.mark.parametrize(
    "sql",
    [
        "select * from read_text('/etc/hostname')",
        "copy (select 1) to '/tmp/boathouse-console-way-out.csv'",
        "attach '/tmp/boathouse-console-way-out.duckdb'",
        "set enable_external_access = true",
        "install httpfs",
        "load httpfs",
    ],
)
def test_connection_holds_even_when_the_guard_lets_something_through(
    path: Path, sql: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import dashboards.console.guard as guard\nguard.check = lambda con, sql, macros: None\n"
    )
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    with pytest.raises(ConsoleError, match=r"disabled|read-only|locked|cannot|Cannot|not found"):
        run(path, sql, MACROS, SMALL)
    assert not Path("/tmp/boathouse-console-way-out.csv").exists()


def test_process_has_no_environment_and_is_gone_afterwards(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BOATHOUSE_TEST_SECRET", "s3cret")
    before = set(_children())
    with pytest.raises(ConsoleError):
        run(path, "select count(*) from range(1000000) a, range(1000000) b", limits=Limits(1))
    assert set(_children()) <= before


def test_query_that_somebody_gives_up_ends_at_once(path: Path) -> None:
    class GivenUpError(BaseException):
        pass

    def give_up() -> None:
        raise GivenUpError

    before = set(_children())
    with pytest.raises(GivenUpError):
        run(path, "select count(*) from range(1000000) a, range(1000000) b", on_wait=give_up)
    assert set(_children()) <= before


def _children() -> list[str]:
    return Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
